"""Alerts: who is told what, once; nobody hears of another tenant; nothing goes to the servers beside Relay."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import redis
import redis.asyncio
from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.test import Client

from conftest import SignIn, unique
from relay_project.alerts import conditions, services, tasks
from relay_project.alerts.core.conditions import QUIET_S, Condition, Found
from relay_project.alerts.core.signing import signature
from relay_project.alerts.models import Alert, AlertChannel, AlertMessage
from relay_project.alerts.sending import NotSent, send
from relay_project.embedded.ports import free_port
from routing.core.breaker import Failure
from routing.evidence import EvidenceBoard
from routing.models import Credential, Deployment, Provider
from routing.presence import Presence
from routing.tests.test_presence import NoLanes
from tenants.auth import limit_of
from tenants.core.limits import counter_of
from tenants.core.spend import Left
from tenants.models import AuditEntry, Membership, Quota, Tenant
from tenants.usage import Use
from traces.recorder import STREAM
from traces.tests.rows import make_trace

pytestmark = pytest.mark.django_db
Role = Membership.Role
NOW = 1_800_000_000.0
NOTHING = Found(())


class Receiver:
    """Somebody's server for webhooks."""

    def __init__(self) -> None:
        self.status, self.heard = 200, list[tuple[dict[str, str], bytes]]()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("location", "http://169.254.169.254/latest/meta-data")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/a-secret-path"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.heard]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def channel(receiver: Receiver, tenant: Tenant | None, **values: Any) -> AlertChannel:
    made = AlertChannel(tenant=tenant, name=unique("channel"), allow_private=True, **values)
    services.save_channel(made, address=receiver.url)
    return made


def wrong(key: str, tenant: Tenant | None, kind: str = "quota") -> Condition:
    return Condition(key, kind, tenant.pk if tenant else None, f"{key} is wrong", "And so on.")


def test_one_message_when_it_begins_and_one_when_it_is_over(receiver: Receiver, tenant_a: Tenant) -> None:
    channel(receiver, tenant_a)
    found = Found((wrong(unique("key"), tenant_a),))
    for passed in (0, 60, 120):
        services.note(found, NOW + passed)
        services.deliver(NOW + passed)
    services.note(NOTHING, NOW + 120 + QUIET_S)
    services.deliver(NOW + 120 + QUIET_S)
    services.deliver(NOW + 9999)
    assert [(one["event"], one["tenant"]) for one in receiver.messages] == [("began", "acme"), ("over", "acme")]
    assert len({one["alert"] for one in receiver.messages}) == 1 and receiver.messages[1]["over_at"]


def test_a_message_is_signed(receiver: Receiver, tenant_a: Tenant) -> None:
    made = AlertChannel(tenant=tenant_a, name=unique("signed"), allow_private=True)
    secret = services.save_channel(made, address=receiver.url)
    assert services.send_test(made, NOW) == ""
    headers, body = receiver.heard[0]
    at = int(headers["x-relay-signature"].partition(",")[0].removeprefix("t="))
    assert headers["x-relay-signature"] == signature(secret, body, at)
    assert services.save_channel(made, address=receiver.url + "2") == ""  # a new address keeps the secret
    assert services.secret_of(made) == secret


def test_a_message_that_fails_is_sent_again_and_given_up_in_the_end(receiver: Receiver, tenant_a: Tenant) -> None:
    made = channel(receiver, tenant_a)
    receiver.status = 503
    services.note(Found((wrong(unique("key"), tenant_a),)), NOW)
    assert services.deliver(NOW) == 0 and services.deliver(NOW + 30) == 0
    assert len(receiver.heard) == 1
    row = AlertMessage.objects.get(channel=made)
    assert (row.tries, row.problem) == (1, "It answered 503.")
    receiver.status = 200
    assert services.deliver(NOW + 61) == 1 and services.deliver(NOW + 9999) == 0
    receiver.status = 500
    services.note(Found((wrong(unique("other"), tenant_a),)), NOW)
    for tries in range(1, 20):
        services.deliver(NOW + tries * 4000)
    assert AlertMessage.objects.filter(channel=made, sent_at=None, next_try_at=None, tries=10).count() == 1


def test_nobody_hears_of_another_tenant_and_staff_hear_of_all(
    receiver: Receiver, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    mine, theirs, staff = (channel(receiver, tenant) for tenant in (tenant_a, tenant_b, None))
    quiet = channel(receiver, tenant_a, topics=["burn"])
    off = channel(receiver, tenant_a, enabled=False)
    services.note(Found((wrong("theirs", tenant_b), wrong("platform", None))), NOW)

    def told(one: AlertChannel) -> set[str]:
        return set(AlertMessage.objects.filter(channel=one).values_list("alert__key", flat=True))

    assert told(theirs) == {"theirs"} and told(staff) == {"theirs", "platform"}
    assert told(mine) == told(quiet) == told(off) == set()


def test_a_redirect_is_not_followed_and_no_answer_is_repeated(receiver: Receiver, tenant_a: Tenant) -> None:
    receiver.status = 302
    made = channel(receiver, tenant_a)
    assert services.send_test(made, NOW) == "It answered 302."
    assert len(receiver.heard) == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/x",
        "http://169.254.169.254/x",
        "http://[::1]/x",
        "http://2130706433/x",
        "http://localhost/x",
        "ftp://example.com",
        "http://user:pass@example.com/",
    ],
)
def test_an_address_beside_relay_is_refused(address: str, tenant_a: Tenant) -> None:
    with pytest.raises(ValidationError) as refused:
        services.save_channel(AlertChannel(tenant=tenant_a, name="x"), address=address)
    assert "address" in refused.value.message_dict


def test_a_name_that_leads_inside_later_is_refused_at_the_socket(receiver: Receiver, tenant_a: Tenant) -> None:
    made = channel(receiver, tenant_a)
    made.allow_private = False
    with pytest.raises(NotSent) as refused:
        send(made, {"title": "x"})
    assert str(refused.value) == "Its address is not on the public internet." and receiver.heard == []


def test_mail(tenant_a: Tenant, settings: Any, mailoutbox: list[Any]) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    made = AlertChannel(tenant=tenant_a, name=unique("mail"), kind="mail")
    services.save_channel(made, address="ops@example.com, me@example.com")
    services.note(Found((wrong(unique("key"), tenant_a),)), NOW)
    assert services.deliver(NOW) == 1
    assert mailoutbox[0].to == ["ops@example.com", "me@example.com"] and "is wrong" in mailoutbox[0].subject
    for address, settings.EMAIL_HOST in (("nobody", "mail.example.com"), ("ops@example.com", "")):
        with pytest.raises(ValidationError):
            services.save_channel(made, address=address)


@pytest.mark.parametrize(
    ("metric", "hard", "used", "topic", "words"),
    [
        ("requests", True, 10, "quota", "Quota spent"),
        ("requests", False, 11, "quota", "Soft quota passed"),
        ("cost", True, 8, "budget", "80 % of a budget"),
        ("requests", False, 10, None, ""),
        ("tokens", True, 9, None, ""),
    ],
)
def test_quotas_and_budgets(
    metric: str, hard: bool, used: int, topic: str | None, words: str, tenant_a: Tenant
) -> None:
    row = Quota(pk=1, tenant=tenant_a, metric=metric, window="day", limit=10, hard=hard)
    use = Use(counter_of(limit_of(row), NOW), Left(limit_of(row), used, 60), used, None)
    found = conditions.of_quota(row, use)
    assert (found.kind if found else None) == topic
    assert found is None or (found.tenant_id == tenant_a.pk and words in found.title)


def test_breakers_and_refused_credentials(tenant_a: Tenant) -> None:
    provider = Provider.objects.create(slug=unique("p"), name="P", kind="mock")
    slug = Deployment.objects.create(slug=unique("d"), provider=provider, model="m").slug
    board = EvidenceBoard()
    presence = Presence("alerts-test", board, NoLanes(), NOW)  # type: ignore[arg-type]
    board.failed(slug, Failure("http_503", unreachable=True), NOW)
    board.failed(f"{slug}@{tenant_a.pk}", Failure("http_401", unreachable=True), NOW)

    async def say(at: float) -> None:
        async with redis.asyncio.from_url(django_settings.REDIS_URL) as client:
            await presence.say(client, at)

    def met(at: float) -> set[tuple[str, int | None]]:
        asyncio.run(say(at))
        return {(one.kind, one.tenant_id) for one in conditions.of_deployments(at) if slug in one.title}

    assert met(NOW) == {("credential", tenant_a.pk)}
    assert met(NOW + 301) == {("breaker", None), ("breaker", tenant_a.pk), ("credential", tenant_a.pk)}
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        client.delete("relay:web:alerts-test", "relay:web")
    with pytest.raises(conditions.Unknown):
        conditions.of_deployments(NOW)


def test_traces_that_nobody_stores() -> None:
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        entry = client.xadd(STREAM, {"t": "waits"})
        found = conditions.of_the_writer(time.time() + 3600)
        client.xdel(STREAM, entry)
    assert [(one.kind, one.tenant_id) for one in found] == [("writer", None)] and "trace_writer" in found[0].detail


def test_a_stored_credential_that_no_longer_opens(tenant_a: Tenant) -> None:
    provider = Provider.objects.create(slug=unique("p"), name="Locked", kind="mock")
    Credential.objects.create(provider=provider, tenant=tenant_a, sealed="v1.gone.x.y")
    assert ("credential", tenant_a.pk) in {(one.kind, one.tenant_id) for one in conditions.of_credentials(NOW)}


def test_what_the_home_page_says_of_a_tenant_that_wants_to_hear_of_it(receiver: Receiver, tenant_b: Tenant) -> None:
    make_trace(tenant_b, started_at=datetime.fromtimestamp(NOW - 60, UTC), outcome="failed", status=503)
    assert [one for one in conditions.of_requests(NOW) if one.tenant_id == tenant_b.pk] == []
    channel(receiver, tenant_b)
    found = [one for one in conditions.of_requests(NOW) if one.tenant_id == tenant_b.pk]
    assert [(one.kind, one.title) for one in found] == [("requests", "1 request got no answer")]


def test_the_minute_goes_on_where_a_source_fails(tenant_a: Tenant, settings: Any) -> None:
    Quota.objects.create(tenant=tenant_a, metric="cost", window="minute", limit=9)
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    found = conditions.find(NOW)
    assert {"quota", "budget", "breaker", "burn", "writer"} <= found.unknown and "requests" not in found.unknown
    assert tasks.look_and_tell() == 0


def test_a_rotation_of_keys_takes_the_addresses_along(receiver: Receiver, tenant_a: Tenant, settings: Any) -> None:
    made, old = channel(receiver, tenant_a), settings.RELAY_CREDENTIAL_KEYS
    settings.RELAY_CREDENTIAL_KEYS = {"newer": bytes(range(32)), **old}
    assert services.rotate_channels(dry_run=True).rewrapped == services.rotate_channels().rewrapped >= 1
    settings.RELAY_CREDENTIAL_KEYS = {"newer": bytes(range(32))}
    made.refresh_from_db()
    assert made.open().address == receiver.url
    settings.RELAY_CREDENTIAL_KEYS = old
    assert services.rotate_channels().lost == (f"alert channel {made.name} of acme",)
    assert services.send_test(made, NOW) == "Its address cannot be opened: enter it again."


# --- the page ----------------------------------------------------------------------------------------------------


def add(client: Client, **values: Any) -> Any:
    given = {
        "name": unique("page"),
        "kind": "webhook",
        "address": "https://198.51.100.7/hooks/a-secret",
        "enabled": "on",
    }
    return client.post("/admin/alerts/alertchannel/add/", given | values)


def test_an_admin_makes_a_channel_whose_address_is_never_shown_again(sign_in: SignIn, tenant_a: Tenant) -> None:
    client = sign_in(Role.ADMIN)
    page = add(client, address="https://93.184.215.14/hooks/a-secret")
    made = AlertChannel.objects.get(tenant=tenant_a, created_by__startswith="person", shown="https://93.184.215.14/…")
    secret = services.secret_of(made)
    assert secret in page.content.decode()
    for path in ("", f"{made.pk}/change/"):
        text = client.get(f"/admin/alerts/alertchannel/{path}?tenant=acme").content.decode()
        assert "93.184.215.14/…" in text and "a-secret" not in text and secret not in text
    assert "a-secret" not in str(list(AuditEntry.objects.values())) and "a-secret" not in repr(made.open())
    kept = client.post(
        f"/admin/alerts/alertchannel/{made.pk}/change/?tenant=acme",
        {"name": "New name", "kind": "webhook", "address": ""},
    )
    made.refresh_from_db()
    assert kept.status_code == 302 and (made.name, made.enabled) == ("New name", False)
    assert made.open().address.endswith("a-secret")


def test_only_admins_enter_and_only_staff_open_the_inside(sign_in: SignIn) -> None:
    assert sign_in(Role.EDITOR).get("/admin/alerts/alertchannel/?tenant=acme").status_code == 403
    inside = {"address": "http://127.0.0.1:9/x", "allow_private": "on"}
    refused = add(sign_in(Role.OWNER), **inside)
    assert refused.status_code == 200 and "errors" in refused.context_data
    staff = sign_in(None)
    staff.get("/admin/?tenant=acme")
    assert "signing secret" in add(staff, **inside).content.decode()


def test_another_tenants_channels_and_alerts_are_not_found(
    receiver: Receiver, sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    theirs, platforms = channel(receiver, tenant_b), channel(receiver, None)
    services.note(Found((wrong(unique("not-yours"), tenant_b), wrong(unique("not-yours"), None))), NOW)
    client = sign_in(Role.OWNER)
    listed = client.get("/admin/alerts/alertchannel/?tenant=acme").content.decode()
    assert theirs.name not in listed and platforms.name not in listed and "not-yours" not in listed
    for one in (theirs, platforms):
        for path in (f"{one.pk}/change/", f"{one.pk}/delete/", f"{one.pk}/history/"):
            assert client.get(f"/admin/alerts/alertchannel/{path}?tenant=acme").status_code == 404
        assert client.post(f"/admin/alerts/alertchannel/{one.pk}/test/?tenant=acme").status_code == 404
    assert receiver.heard == []
    assert "not-yours" in sign_in(None).get("/admin/alerts/alertchannel/?tenant=all").content.decode()


def test_send_test_from_the_page(receiver: Receiver, sign_in: SignIn, tenant_a: Tenant) -> None:
    made = channel(receiver, tenant_a)
    client = sign_in(Role.ADMIN)
    answer = client.post(f"/admin/alerts/alertchannel/{made.pk}/test/?tenant=acme", follow=True)
    assert "on its way" in answer.content.decode() and receiver.messages[0]["event"] == "test"
    entry = AuditEntry.objects.get(action="tested", name=made.name)
    assert entry.tenant == "acme" and entry.actor_kind == "user"
    assert Alert.objects.filter(tenant=tenant_a).count() == 0
