"""What the console says of a deployment beside its row, and its test button."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from redis.asyncio import Redis

from conftest import SignIn, unique
from routing.core.outcomes import FAILED, bucket
from routing.credentials import set_credential
from routing.models import Deployment, Policy, Provider, Route
from routing.outcomes import Outcomes
from routing.services import import_policy, save_route
from routing.tests.stage import NO_CACHE
from routing.tests.upstream import FakeProvider, Script, hangs, refuses, says, sends
from tenants.models import Membership, Tenant

pytestmark = pytest.mark.django_db
Role = Membership.Role
SECRET = "sk-of-the-platform-0123456789"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeProvider]:
    with closing(FakeProvider()) as provider:
        yield provider


@pytest.fixture
def deployment(fake: FakeProvider) -> Deployment:
    provider = Provider.objects.create(slug=unique("vendor"), name="V", base_url=fake.url, allow_private=True)
    set_credential(provider=provider, tenant=None, secret=SECRET)
    name = unique("model")
    return Deployment.objects.create(slug=name, provider=provider, model=name, connect_timeout_ms=500)


def route_to(*deployments: Deployment, tenant: Tenant | None) -> Route:
    name = unique("route")
    import_policy(tenant=tenant, slug=name, text=NO_CACHE, activated=True)
    route = Route(tenant=tenant, name=name, policy=Policy.objects.get(slug=name))
    save_route(route, candidates=[(row, None) for row in deployments])
    return route


def at(row: Deployment, view: str, tenant: str) -> str:
    return f"/admin/routing/deployment/{row.pk}/{view}/?tenant={tenant}"


def html(answer: Any) -> str:
    return str(answer.content.decode())


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (says("ready"), "ms: ready"),
        (says(""), "(an empty text)"),
        (refuses(503), "did not answer"),
        (sends(b"[]", content_type="application/json"), "no chat completion"),
    ],
)
def test_staff_test_a_deployment(
    sign_in: SignIn, fake: FakeProvider, deployment: Deployment, script: Script, said: str
) -> None:
    fake.scripts[deployment.slug] = script
    page = html(sign_in(None).post(at(deployment, "test", "all"), follow=True))
    assert said in page and SECRET not in page
    [asked] = fake.received[deployment.slug]
    assert asked["max_tokens"] == 16


def test_one_that_says_nothing_is_given_up_in_its_time(
    sign_in: SignIn, fake: FakeProvider, deployment: Deployment
) -> None:
    fake.scripts[deployment.slug] = hangs()
    Deployment.objects.filter(pk=deployment.pk).update(ttft_timeout_ms=200)
    assert "did not answer" in html(sign_in(None).post(at(deployment, "test", "all"), follow=True))


def test_embeddings_are_tested_with_embeddings(sign_in: SignIn, deployment: Deployment) -> None:
    Provider.objects.filter(pk=deployment.provider_id).update(kind=Provider.Kind.MINILM)
    Deployment.objects.filter(pk=deployment.pk).update(serves=Deployment.Serves.EMBEDDINGS)
    assert "a vector of 384 numbers" in html(sign_in(None).post(at(deployment, "test", "all"), follow=True))


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OWNER])
def test_nobody_else_may(
    sign_in: SignIn, fake: FakeProvider, deployment: Deployment, tenant_a: Tenant, role: str
) -> None:
    route_to(deployment, tenant=tenant_a)
    client = sign_in(role)
    assert "/test/" not in html(client.get(at(deployment, "change", tenant_a.slug)))
    assert client.post(at(deployment, "test", tenant_a.slug)).status_code == 404
    assert sign_in(None).get(at(deployment, "test", "all")).status_code == 405
    assert not fake.received[deployment.slug]


def test_the_page_names_the_routes_that_need_it_and_no_other_tenants(
    sign_in: SignIn, deployment: Deployment, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    other = Deployment.objects.create(slug=unique("other"), provider=deployment.provider, model="m")
    alone, backed = route_to(deployment, tenant=tenant_a), route_to(deployment, other, tenant=None)
    theirs = route_to(deployment, tenant=tenant_b)
    ours = html(sign_in(Role.VIEWER).get(at(deployment, "change", tenant_a.slug)))
    assert alone.name in ours and backed.name in ours and theirs.name not in ours
    assert f"nobody to answer {alone.name}." in ours
    staff = html(sign_in(None).get(at(deployment, "change", "all")))
    assert theirs.name in staff


def test_the_list_says_how_it_did_lately(sign_in: SignIn, deployment: Deployment) -> None:
    listed = f"/admin/routing/deployment/?tenant=all&q={deployment.slug}"
    assert "Not asked in the last hour" in html(sign_in(None).get(at(deployment, "change", "all")))
    async_to_sync(_happened)(deployment.slug)
    page = html(sign_in(None).get(listed))
    assert "25.0% of 4" in page
    assert "1 of 4 attempts failed" in html(sign_in(None).get(at(deployment, "change", "all")))


async def _happened(name: str) -> None:
    outcomes, now = Outcomes(), time.time()
    for field in (FAILED, bucket(100), bucket(100), bucket(120)):
        outcomes.add(name, field, now)
    async with Redis.from_url(settings.REDIS_URL) as redis:
        await outcomes.share(redis, now)
