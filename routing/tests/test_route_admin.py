"""The console's page of routes: what it shows, what it refuses and where it says so, and whose rows it is about."""

import itertools
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from django_tenants.utils import tenant_context

from conftest import unique
from routing.models import Deployment, Policy, Provider, Route
from routing.services import import_policy, save_route
from routing.tests.stage import NO_CACHE
from tenants.models import Membership, Tenant, User
from traces.models import Trace

DRAWS = itertools.count(1)  # what is drawn is no matter here, only that each request draws its own
pytestmark = pytest.mark.django_db


def signed_in(tenant: Tenant, role: str = "admin") -> Client:
    person = User.objects.create_user(unique("person"), is_staff=True)
    Membership.objects.create(user=person, tenant=tenant, role=role)
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def policy(tenant_a: Tenant) -> Policy:
    return _policy_of(tenant_a)


@pytest.fixture
def arms(tenant_a: Tenant, policy: Policy) -> list[Deployment]:
    """Two deployments that the tenant has by a route of its own."""
    provider = Provider.objects.create(slug=unique("p"), name="P", kind=Provider.Kind.MOCK)
    rows = [Deployment.objects.create(slug=unique("arm"), provider=provider, model="m") for _ in range(2)]
    save_route(Route(tenant=tenant_a, name=unique("has"), policy=policy), candidates=[(row, None) for row in rows])
    return rows


def split_route(tenant: Tenant | None, policy: Policy, arms: list[Deployment], **values: Any) -> Route:
    route = Route(tenant=tenant, name=unique("ab"), policy=policy, **values)
    return save_route(route, candidates=list(zip(arms, (70, 30), strict=True)))


def form(name: str, policy: Policy | None, *steps: tuple[Deployment, object], **more: Any) -> dict[str, Any]:
    """What a browser sends of the page."""
    fields: dict[str, Any] = {"name": name, "policy": policy.pk if policy else "", "sticky": "none", "enabled": "on"}
    fields |= {"path": "", "alias_of": "", "steps-TOTAL_FORMS": len(steps), "steps-INITIAL_FORMS": 0}
    for index, (deployment, share) in enumerate(steps):
        fields |= {f"steps-{index}-position": index, f"steps-{index}-deployment": deployment.pk}
        fields[f"steps-{index}-share"] = "" if share is None else share
    return fields | more


def add(client: Client, tenant: Tenant, fields: dict[str, Any]) -> Any:
    return client.post(f"/admin/routing/route/add/?tenant={tenant.slug}", fields)


def test_a_split_with_a_path_is_added_and_listed(tenant_a: Tenant, policy: Policy, arms: list[Deployment]) -> None:
    client, name, path = signed_in(tenant_a), unique("ab"), unique("path")
    steps = list(zip(arms, (70, 30), strict=True))
    assert add(client, tenant_a, form(name, policy, *steps, path=path, sticky="key")).status_code == 302
    route = Route.objects.get(name=name)
    assert (route.tenant, route.path, route.sticky) == (tenant_a, path, "key")
    page = client.get(f"/admin/routing/route/?tenant={tenant_a.slug}&q={name}").content.decode()
    assert f"/v1/{path}/" in page and f"{arms[0].slug} 70 % · {arms[1].slug} 30 %, by key" in page


@pytest.mark.parametrize(
    ("shares", "said"), [((70, 20), "these sum to 90"), ((70, None), "every candidate"), ((101, -1), "less than")]
)
def test_shares_that_are_no_split_are_refused_at_the_field(
    tenant_a: Tenant, policy: Policy, arms: list[Deployment], shares: tuple[Any, Any], said: str
) -> None:
    name = unique("ab")
    answer = add(signed_in(tenant_a), tenant_a, form(name, policy, *zip(arms, shares, strict=True)))
    errors = answer.context["inline_admin_formsets"][0].formset.errors
    assert answer.status_code == 200 and said in str(errors[0]["share"])
    assert not Route.objects.filter(name=name).exists()


def test_wrong_paths_and_aliases_are_refused_at_the_field(
    tenant_a: Tenant, tenant_b: Tenant, policy: Policy, arms: list[Deployment]
) -> None:
    client, taken = signed_in(tenant_a), split_route(tenant_a, policy, arms, path=unique("path"))
    theirs = save_route(Route(tenant=tenant_b, name=unique("theirs"), policy=_policy_of(tenant_b)), candidates=[])
    alias = save_route(Route(tenant=tenant_a, name=unique("alias"), alias_of=taken), candidates=[])
    for fields, field, said in (
        (form(taken.name, policy), "name", "There is a route of this name already."),
        (form(unique("r"), policy, path=taken.path), "path", f"The route {taken.name} is served there."),
        (form(unique("r"), policy, path="chat"), "path", "is an address of Relay itself"),
        (form(unique("r"), policy, path="No Slug"), "path", "Use a-z"),
        (form(unique("r"), None), "policy", "Choose a policy"),
        (form(unique("r"), None, alias_of=theirs.pk), "alias_of", "Select a valid choice"),
        (form(unique("r"), None, alias_of=alias.pk), "alias_of", "Select a valid choice"),
    ):
        answer = add(client, tenant_a, fields)
        assert said in str(answer.context["adminform"].form.errors[field])
    page = client.get(f"/admin/routing/route/add/?tenant={tenant_a.slug}").content.decode()
    assert theirs.name not in page and taken.name in page


def _policy_of(tenant: Tenant | None) -> Policy:
    version, _ = import_policy(tenant=tenant, slug=unique("policy"), text=NO_CACHE, activated=True)
    return version.policy


def test_an_alias_is_added_without_a_policy(tenant_a: Tenant, policy: Policy, arms: list[Deployment]) -> None:
    client, target, name = signed_in(tenant_a), split_route(tenant_a, policy, arms), unique("alias")
    assert add(client, tenant_a, form(name, None, alias_of=target.pk)).status_code == 302
    assert Route.objects.get(name=name).policy == policy
    assert f"as {target.name}" in client.get(f"/admin/routing/route/?tenant=acme&q={name}").content.decode()
    refused = add(client, tenant_a, form(unique("r"), None, (arms[0], None), alias_of=target.pk))
    assert "An alias has the candidates" in str(refused.context["inline_admin_formsets"][0].formset.errors)


def traces(tenant: Tenant, route: str, arms: list[Deployment], counts: tuple[int, int], **split: Any) -> None:
    """As many requests of each arm, an hour ago."""
    shares = {arms[0].slug: 70, arms[1].slug: 30}
    rows = [
        Trace(
            id=uuid4(),
            started_at=timezone.now() - timedelta(hours=1),
            request_id="r",
            outcome="ok",
            status=200,
            api_key="k",
            route=route,
            latency_ms=1,
            plan_json={"features": {"split": {"shares": shares, "arm": arm.slug, "draw": next(DRAWS), **split}}},
        )
        for arm, count in zip(arms, counts, strict=True)
        for _ in range(count)
    ]
    with tenant_context(tenant):
        Trace.objects.bulk_create(rows)


def page_of(client: Client, route: Route) -> str:
    return client.get(f"/admin/routing/route/{route.pk}/change/?tenant=acme").content.decode()


def test_the_page_shows_how_the_split_fell(tenant_a: Tenant, policy: Policy, arms: list[Deployment]) -> None:
    route = split_route(tenant_a, policy, arms)
    alias = save_route(Route(tenant=tenant_a, name=unique("alias"), alias_of=route), candidates=[])
    client = signed_in(tenant_a, "viewer")
    assert "No request was split by these shares yet." in page_of(client, route)
    traces(tenant_a, route.name, arms, (1000, 400))
    traces(tenant_a, alias.name, arms, (396, 204))
    traces(tenant_a, route.name, arms, (500, 0), shares={arms[0].slug: 100, arms[1].slug: 0})
    page = page_of(client, route)
    assert "69.8&nbsp;%" in page and "1,396" in page and "30.2&nbsp;%" in page and "604" in page
    assert "Within chance." in page and "width:69.8%" in page
    traces(tenant_a, route.name, arms, (0, 300))
    assert "More than chance explains" in page_of(client, route)


def test_who_stays_on_a_side_is_one_draw(tenant_a: Tenant, policy: Policy, arms: list[Deployment]) -> None:
    route = split_route(tenant_a, policy, arms, sticky="key")
    traces(tenant_a, route.name, arms, (900, 0), draw=0.25)
    page = page_of(signed_in(tenant_a), route)
    assert "Too few to compare" in page and "1 draws" in page and "900" in page


def test_a_page_counts_the_own_tenants_requests_only(
    tenant_a: Tenant, tenant_b: Tenant, policy: Policy, arms: list[Deployment]
) -> None:
    """A route of the platform, which both use."""
    shared = split_route(None, _policy_of(None), arms)
    traces(tenant_b, shared.name, arms, (4321, 0))
    assert "4,321" not in page_of(signed_in(tenant_a), shared)
    staff = Client()
    staff.force_login(User.objects.create_user(unique("staff"), is_staff=True, is_superuser=True))
    everybody = staff.get(f"/admin/routing/route/{shared.pk}/change/?tenant=all")
    assert everybody.status_code == 200 and "4,321" not in everybody.content.decode()
    theirs = staff.get(f"/admin/routing/route/{shared.pk}/change/?tenant=globex").content.decode()
    assert "4,321" in theirs
