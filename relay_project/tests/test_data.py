"""Taking a tenant's data out, and erasing it: by command, and by its owner in the console."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django_tenants.utils import tenant_context

from caching.exact import Stored, put_command
from caching.models import SemanticEntry
from conftest import SignIn, unique
from relay_project.erase import Content, erase_content
from routing.services import import_policy
from routing.shadows.models import ShadowPair
from tenants.models import AuditEntry, Membership, Quota, Tenant, User
from tenants.services import create_api_key, create_tenant
from traces.core.ids import uuid7
from traces.models import Trace, Usage
from traces.recorder import DEAD, STREAM, append_command, dump
from traces.tests.records import record_of
from traces.tests.rows import make_trace

pytestmark = pytest.mark.usefixtures("committed")
ASKED = {"messages": [{"role": "user", "content": "Where is my parcel?"}]}
PAGE = "/admin/data/"


def v7(age_s: float = 0.0) -> str:
    return uuid7(time.time() - age_s, unique("chance").encode().rjust(10)[-10:])


@pytest.fixture(scope="module")
def leaver(committed: None) -> Iterator[Tenant]:
    tenant = create_tenant(slug=unique("leaver"), name="Leaver")
    _, text = create_api_key(tenant=tenant, name="web-prod")
    tenant.secret_for_test = text
    policy = (Path(settings.BASE_DIR) / "policies" / "policy.demo.yaml").read_text()
    import_policy(tenant=tenant, slug="own", text=policy, activated=True)
    Quota.objects.create(tenant=tenant, metric="requests", window="day", limit=5)
    person = User.objects.create_user(unique("owner"), is_staff=True, email="o@example.com")
    Membership.objects.create(user=person, tenant=tenant, role="owner")
    yield tenant
    Tenant.objects.filter(pk=tenant.pk).first() and call_command(
        "erase_tenant", tenant.slug, "--yes", stdout=StringIO()
    )


@pytest.fixture
def client() -> Iterator[Any]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


def exported(tenant: Tenant, folder: Path) -> list[dict[str, Any]]:
    call_command("export_tenant", tenant.slug, "--out", str(folder), stdout=StringIO())
    (path,) = folder.glob(f"{tenant.slug}-*.jsonl")
    assert path.stat().st_mode & 0o077 == 0
    return [json.loads(line) for line in path.read_text().splitlines()]


def remember(tenant: Tenant, trace: Trace) -> None:
    with tenant_context(tenant):
        SemanticEntry.objects.create(
            id=v7(), created_at=trace.started_at, expires_at=trace.started_at + timedelta(days=9), scope=b"s" * 32,
            embedding=[0.1] * 384, question="Where is my parcel?", answer={"a": 1}, source_trace=trace.pk,
            policy_version=1,
        )  # fmt: skip


def compare(tenant: Tenant, trace: Trace) -> ShadowPair:
    """What a shadow answered to the same request."""
    with tenant_context(tenant):
        return ShadowPair.objects.create(
            shadow_id=1, at=trace.started_at, trace_id=trace.pk, stream=False, base_failed=False,
            candidate_failed=False, base_cost_microusd=1, candidate_cost_microusd=1, answer="Your parcel is here.",
        )  # fmt: skip


def keep_answer(client: Any, tenant: Tenant) -> str:
    key = f"relay:{{{tenant.slug}}}:exact:{unique('key')}"
    stored = Stored(
        answer=b'{"id": "kept"}', trace_id="t", policy="p", policy_version=1, deployment="d", model="m", created_at=1.0,
        tokens_in=1, tokens_out=1, cost_microusd=1,
    )  # fmt: skip
    command = put_command(key, stored, 600)
    assert command is not None
    client.execute_command(*command)
    return key


def test_everything_goes_out_but_secrets_and_other_tenants(
    leaver: Tenant, tenant_b: Tenant, client: Any, tmp_path: Path
) -> None:
    trace = make_trace(leaver, id=v7(), request_json=ASKED)
    remember(leaver, trace)
    compare(leaver, trace)
    keep_answer(client, leaver)
    keep_answer(client, tenant_b)
    strangers = [make_trace(tenant_b, id=v7(), prompt_line="A secret of B")]
    try:
        lines = exported(leaver, tmp_path)
    finally:
        with tenant_context(tenant_b):
            Trace.objects.filter(pk__in=[one.pk for one in strangers]).delete()

    rows: dict[str, list[Any]] = {}
    for line in lines:
        rows.setdefault(line["kind"], []).append(line["row"])
    assert set(rows) >= {"tenant", "member", "api_key", "quota", "policy_version", "trace", "usage", "attempts"}
    assert [row["id"] for row in rows["trace"]] == [str(trace.pk)]
    assert rows["trace"][0]["request_json"] == ASKED
    assert [row["answer"] for row in rows["shadow_pair"]] == ["Your parcel is here."]
    assert [row["question"] for row in rows["semantic_entry"]] == ["Where is my parcel?"]
    assert [row["answer"] for row in rows["exact_answer"]] == [{"id": "kept"}]
    assert rows["policy_version"][0]["active"] is True
    text = json.dumps(lines)
    assert "A secret of B" not in text and "digest" not in text and "password" not in text and "sealed" not in text
    assert cast(Any, leaver).secret_for_test not in text


def test_an_export_overwrites_nothing_and_names_its_tenant(leaver: Tenant, tmp_path: Path) -> None:
    there = tmp_path / "there.jsonl"
    there.write_text("mine")

    with pytest.raises(CommandError, match="exists already"):
        call_command("export_tenant", leaver.slug, "--out", str(there))
    with pytest.raises(CommandError, match="no tenant"):
        call_command("export_tenant", "nobody", "--out", str(there))
    with pytest.raises(CommandError, match="cannot be written: No such file"):
        call_command("export_tenant", leaver.slug, "--out", str(tmp_path / "nowhere" / "all.jsonl"))
    assert there.read_text() == "mine"


def test_one_end_users_words_go_and_the_ledgers_figures_stay(leaver: Tenant, client: Any) -> None:
    said = {**ASKED, "user": "mallory"}
    attempts = [{"number": 1, "deployment": "d", "outcome": "failed", "error": "parcel?", "charged": {"requests": 1}}]
    hers = make_trace(leaver, id=v7(), request_json=said, attempts_json=attempts, charged_tokens=46)
    other = make_trace(leaver, id=v7(), request_json={**ASKED, "user": "trent"})
    quoting = make_trace(
        leaver, id=v7(), request_json=None, prompt_line="", response_json=None,
        cache_json={"source_trace": str(hers.pk), "question": "Where is my parcel?"},
    )  # fmt: skip
    remember(leaver, hers)
    copied, kept = compare(leaver, hers), compare(leaver, other)
    key = keep_answer(client, leaver)
    with tenant_context(leaver):
        usage = Usage.objects.count()

    dry = StringIO()
    call_command("erase_tenant", leaver.slug, "--content-only", "--user", "mallory", stdout=dry)
    assert "Would erase: the content of 1 traces, 1 answers" in dry.getvalue() and client.exists(key)
    for expected in (1, 0):  # and once more finds nothing left
        assert erase_content(tenant=leaver, content=Content(user="mallory")).traces == expected

    entry = AuditEntry.objects.filter(action="erased", tenant=leaver.slug)[0]
    assert entry.changes == {"what": [None, "content of one end user"]}, "and not of whom"
    assert not client.exists(key)
    with tenant_context(leaver):
        for row in (hers, other, quoting, copied, kept):
            row.refresh_from_db()
        assert not SemanticEntry.objects.filter(source_trace=hers.pk).exists()
        assert Usage.objects.count() == usage
    assert (hers.request_json, hers.response_json, hers.prompt_line) == (None, None, "")
    assert (hers.charged_tokens, hers.attempts_json[0]["charged"]) == (46, {"requests": 1})
    assert "parcel" not in json.dumps([hers.attempts_json, hers.cache_json, quoting.cache_json])
    assert (copied.answer, kept.answer) == ("", "Your parcel is here.")
    assert other.prompt_line and other.request_json == {**ASKED, "user": "trent"}


def test_content_before_a_day_goes(leaver: Tenant) -> None:
    old = make_trace(leaver, id=v7(), age=timedelta(days=3))
    new = make_trace(leaver, id=v7())
    pairs = [compare(leaver, one) for one in (old, new)]

    erase_content(tenant=leaver, content=Content(before=new.started_at - timedelta(days=1)))

    with tenant_context(leaver):
        for row in (old, new, *pairs):
            row.refresh_from_db()
    assert [pair.answer for pair in pairs] == ["", "Your parcel is here."]
    assert (old.prompt_line, old.request_json) == ("", None)
    assert new.prompt_line == "Where is my parcel?"
    with pytest.raises(CommandError, match="content-only"):
        call_command("erase_tenant", leaver.slug, "--user", "x")


def test_only_an_owner_sees_the_page_and_only_for_the_own_tenant(sign_in: SignIn, tenant_b: Tenant) -> None:
    owner, admin = sign_in("owner"), sign_in("admin")

    assert "Take everything out" in owner.get(PAGE).content.decode()
    assert PAGE in owner.get("/admin/").content.decode()
    assert PAGE not in admin.get("/admin/").content.decode()
    for path in (PAGE, f"{PAGE}export"):
        assert admin.post(path).status_code == 404
        assert owner.post(f"{path}?tenant={tenant_b.slug}").status_code == 404
        assert sign_in(None).post(f"{path}?tenant=all").status_code == 404
    assert owner.get(f"{PAGE}export").status_code == 405


def test_an_owner_downloads_and_erases_after_typing_the_name(sign_in: SignIn, leaver: Tenant) -> None:
    trace = make_trace(leaver, id=v7())
    owner = sign_in("owner", leaver)

    async def read(stream: AsyncIterator[bytes]) -> bytes:
        return b"".join([piece async for piece in stream])

    body = asyncio.run(read(owner.post(f"{PAGE}export").streaming_content))
    assert str(trace.pk) in body.decode()
    exported_by = AuditEntry.objects.filter(action="exported", tenant=leaver.slug).first()
    assert exported_by is not None and exported_by.actor.startswith("person-")

    refused = owner.post(PAGE, {"confirm": "something else"})
    assert f"Type “{leaver.slug}”." in refused.content.decode()
    with tenant_context(leaver):
        assert Trace.objects.get(pk=trace.pk).prompt_line
    done = owner.post(PAGE, {"confirm": leaver.slug}, follow=True)
    assert "Erased the content of" in done.content.decode()
    with tenant_context(leaver):
        assert not Trace.objects.exclude(prompt_line="").exists()


def test_a_tenant_goes_with_all_it_holds(leaver: Tenant, tenant_b: Tenant, client: Any) -> None:
    make_trace(leaver, id=v7())
    mine, theirs = keep_answer(client, leaver), keep_answer(client, tenant_b)
    client.execute_command(*append_command(dump(record_of(leaver))))
    kept = client.xadd(DEAD, {"d": dump(record_of(tenant_b)), "error": "e", "entry": "1-1"})
    people = User.objects.filter(memberships__tenant=leaver).count()
    before = User.objects.count()

    dry = StringIO()
    call_command("erase_tenant", leaver.slug, stdout=dry)
    assert "Would erase" in dry.getvalue() and Tenant.objects.filter(pk=leaver.pk).exists() and client.exists(mine)
    call_command("erase_tenant", leaver.slug, "--yes", stdout=StringIO())
    assert AuditEntry.objects.filter(action="erased", name=leaver.slug, changes__what__1="everything").exists()

    assert not Tenant.objects.filter(slug=leaver.slug).exists()
    assert User.objects.count() == before - people
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [leaver.schema_name])
        assert cursor.fetchone() == (0,)
    assert client.exists(theirs) and not client.exists(mine)
    waiting = [fields[b"d"] for _, fields in client.xrange(STREAM)]
    assert not [one for one in waiting if leaver.slug.encode() in one]
    assert client.xrange(DEAD, kept, kept)
    client.xdel(DEAD, kept)

    client.set(f"relay:{{{leaver.slug}}}:exact:late", b"x")
    call_command("erase_tenant", leaver.slug, "--yes", stdout=StringIO())
    assert not client.exists(f"relay:{{{leaver.slug}}}:exact:late")
    with pytest.raises(CommandError, match="no tenant"):
        call_command("erase_tenant", leaver.slug)
    with pytest.raises(CommandError, match="no tenant"):
        call_command("erase_tenant", leaver.slug, "--content-only", "--yes")
