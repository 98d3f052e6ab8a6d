"""Resets: by command and by page; exact, kept, and nobody else's."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

from conftest import eventually, unique
from routing.candidates import limits_of_all
from routing.models import DeploymentLimit
from routing.tests.stage import Stage
from routing.tests.upstream import says
from tenants.models import Membership, Quota, QuotaReset, User
from tenants.scripts import EPOCH
from tenants.services import create_api_key, create_tenant
from tenants.usage import uses
from traces.rebuild import rebuild

pytestmark = pytest.mark.usefixtures("committed")


def run(**options: Any) -> str:
    out = StringIO()
    call_command("reset_quotas", stdout=out, **options)
    return out.getvalue()


def used(row: Any) -> tuple[int, int]:
    """Used and settled."""
    [limit] = [one for one in limits_of_all() if one.key == f"{'q' if isinstance(row, Quota) else 'd'}{row.pk}"]
    found = uses([limit])
    assert found is not None
    return found[0].left.used, found[0].settled


@pytest.fixture
def spent(stage: Stage) -> Any:
    """A quota of ten of which three are used, its key and a model."""
    row, key = stage.new_key(quota={"metric": "requests", "window": "month", "limit": 10})
    model = stage.route(says("hi"))
    for _ in range(3):
        stage.ask(stage.shells.express, model, key=key)
    quota = Quota.objects.get(api_key=row)
    assert used(quota) == (3, 3)
    return quota, key, model


def test_a_reset_frees_what_was_used_and_a_rebuild_keeps_it(stage: Stage, spent: Any) -> None:
    quota, key, model = spent
    said = run(tenant=stage.tenant.slug, key=quota.api_key.name, note="paid twice")
    assert "3 of 10 used" in said and "1 of 1 counters reset" in said
    assert used(quota) == (0, 0)
    [kept] = QuotaReset.objects.filter(limit_key=f"q{quota.pk}:requests:month")
    assert (kept.amount, kept.note, kept.tenant) == (3, "paid twice", stage.tenant) and kept.author
    stage.ask(stage.shells.express, model, key=key)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.hset(EPOCH, "live", 0)
        rebuild(client, list(limits_of_all()), grace_s=1.0)
    assert used(quota) == (1, 1)


def test_a_dry_run_only_looks(stage: Stage, spent: Any) -> None:
    quota, *_ = spent
    said = run(tenant=stage.tenant.slug, key=quota.api_key.name, dry_run=True)
    assert "3 of 10 used" in said and "Nothing was reset" in said
    assert used(quota) == (3, 3)
    assert not QuotaReset.objects.filter(limit_key=f"q{quota.pk}:requests:month").exists()


def test_only_what_matches_is_reset(stage: Stage, spent: Any) -> None:
    quota, *_ = spent
    other = Quota.objects.create(tenant=stage.tenant, api_key=quota.api_key, metric="tokens", window="day", limit=10)
    said = run(tenant=stage.tenant.slug, key=quota.api_key.name, window="day")
    assert "0 of 1 counters reset" in said and str(other) in said
    assert used(quota) == (3, 3)


def test_a_deployments_limit_can_be_reset(stage: Stage) -> None:
    model = stage.route(says("hi"))
    limit = DeploymentLimit.objects.create(
        deployment_id=stage.deployment(model).pk, metric="requests", window="day", limit=5
    )
    stage.route(says("a later change"))
    stage.ask(stage.shells.express, model)
    assert used(limit) == (1, 1)
    assert "1 of 1 counters reset" in run(deployment=f"{model}-0", metric="requests")
    assert used(limit) == (0, 0)
    assert QuotaReset.objects.get(limit_key=f"d{limit.pk}:requests:day").tenant is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "Say whose"),
        ({"tenant": "acme", "deployment": "mock-fast"}, "Say whose"),
        ({"deployment": "mock-fast", "key": "x"}, "--key needs --tenant"),
        ({"tenant": "nobody"}, "no tenant 'nobody'"),
        ({"tenant": "public"}, "no tenant 'public'"),
        ({"tenant": "acme", "key": "nobody"}, "no key 'nobody'"),
        ({"deployment": "nothing"}, "no deployment 'nothing'"),
        ({"deployment": "mock-fast", "window": "hour"}, "There is no such limit"),
    ],
)
def test_what_does_not_match_is_said(stage: Stage, options: dict[str, str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run(**options)


def test_while_counters_are_rebuilt_nothing_is_reset(stage: Stage, spent: Any) -> None:
    quota, *_ = spent
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.hset(EPOCH, "live", 0)
        with pytest.raises(CommandError, match="Nothing was reset"):
            run(tenant=stage.tenant.slug, key=quota.api_key.name)
        rebuild(client, list(limits_of_all()), grace_s=1.0)
    assert used(quota)[0] == 3


@pytest.fixture
def sign_in() -> Iterator[Any]:
    def enter(tenant: Any, role: str) -> Client:
        person = User.objects.create_user(unique("person"), is_staff=True)
        Membership.objects.create(user=person, tenant=tenant, role=role)
        client = Client()
        client.force_login(person)
        return client

    yield enter


def test_an_admin_resets_on_the_page(stage: Stage, spent: Any, sign_in: Any) -> None:
    quota, *_ = spent
    client, page = sign_in(stage.tenant, "admin"), f"/admin/tenants/quota/{quota.pk}"
    listed = client.get(f"/admin/tenants/quota/?tenant={stage.tenant.slug}&q={quota.api_key.name}").content.decode()
    assert "3 requests of 10 requests" in listed and 'role="meter"' in listed
    assert "3 requests of 10 requests" in client.get(f"{page}/reset/").content.decode()
    after = client.post(f"{page}/reset/", {"note": "a mistake"}, follow=True).content.decode()
    assert "3 requests taken off" in after and "a mistake" in after
    assert used(quota) == (0, 0)
    assert "Nothing was used of it" in client.post(f"{page}/reset/", follow=True).content.decode()


@pytest.mark.parametrize("role", ["viewer", "analyst", "editor"])
def test_other_roles_may_not(stage: Stage, spent: Any, sign_in: Any, role: str) -> None:
    quota, *_ = spent
    client = sign_in(stage.tenant, role)
    assert "Reset…" not in client.get(f"/admin/tenants/quota/{quota.pk}/change/").content.decode()
    assert client.post(f"/admin/tenants/quota/{quota.pk}/reset/").status_code == 404
    assert used(quota) == (3, 3)


def test_another_tenants_quota_is_not_there(stage: Stage, spent: Any, sign_in: Any, tenant_b: Any) -> None:
    quota, *_ = spent
    client = sign_in(tenant_b, "owner")
    for answer in (
        client.get(f"/admin/tenants/quota/{quota.pk}/reset/"),
        client.post(f"/admin/tenants/quota/{quota.pk}/reset/"),
        client.post(f"/admin/tenants/quota/{quota.pk}/reset/?tenant={stage.tenant.slug}"),
    ):
        assert answer.status_code == 404 and quota.api_key.name not in answer.content.decode()
    assert used(quota) == (3, 3)


def test_without_redis_the_page_shows_a_dash(stage: Stage, spent: Any, sign_in: Any, settings: Any) -> None:
    quota, *_ = spent
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    client = sign_in(stage.tenant, "admin")
    assert (
        "requests of 10"
        not in client.get(f"/admin/tenants/quota/?tenant={stage.tenant.slug}&q={quota.api_key.name}").content.decode()
    )
    after = client.post(f"/admin/tenants/quota/{quota.pk}/reset/", follow=True).content.decode()
    assert "nothing was reset" in after


def test_a_soft_quota_that_is_passed_needs_attention_on_the_home_page(stage: Stage, sign_in: Any) -> None:
    tenant = create_tenant(slug=unique("calm"), name="Calm")  # without the problems that other tests make
    with transaction.atomic():
        row, key = create_api_key(tenant=tenant, name="web")
        Quota.objects.create(tenant=tenant, api_key=row, metric="requests", window="month", limit=1, hard=False)
    model = stage.route(says("hi"), tenant=tenant)
    for _ in range(2):
        stage.ask(stage.shells.express, model, key=key)
    client = sign_in(tenant, "viewer")
    eventually(lambda: "Soft quota passed: 2 of 1 requests a month" in client.get("/admin/").content.decode())
