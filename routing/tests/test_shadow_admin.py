"""Who may see, start and stop a shadow, in the console and on the command line; and how long its pairs are kept."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_tenants.utils import tenant_context

from conftest import SignIn, unique
from routing.core.shadow import Side, Sums, observations
from routing.models import Deployment, DeploymentLimit, Policy, Provider, Route, Shadow, ShadowSum
from routing.services import import_policy, save_draft, save_route
from routing.shadows.models import ShadowPair
from routing.shadows.services import forget_pairs, start_shadow, stop_shadow
from routing.tests.stage import NO_CACHE
from tenants.models import AuditEntry, Tenant
from traces.models import Trace
from traces.tests.rows import make_trace

pytestmark = pytest.mark.usefixtures("committed", "db")
ANSWER = {"choices": [{"message": {"content": "What the client got."}, "finish_reason": "stop"}]}


def _deployment(**values: Any) -> Deployment:
    provider = Provider.objects.create(slug=unique("mock"), name="Mock", kind=Provider.Kind.MOCK)
    return Deployment.objects.create(slug=unique("model"), provider=provider, model="m", **values)


def _route(tenant: Tenant | None) -> Route:
    name = unique("route")
    version, _ = import_policy(tenant=tenant, slug=name, text=NO_CACHE, activated=True)
    route = Route(tenant=tenant, name=name, policy=version.policy)
    return save_route(route, candidates=[(_deployment(), None)])


def _shadow(tenant: Tenant | None, **given: Any) -> Shadow:
    wanted: dict[str, Any] = {"route": _route(tenant), "candidate": _deployment()}
    wanted |= {"percent": 10, "budget_microusd": 2_000_000}
    return start_shadow(**wanted | given)


def _compared(shadow: Shadow, pairs: int, **candidate: Any) -> None:
    """The base takes 100 ms and 40 micro-dollars."""
    base = Side(False, 100.0, None, 10, 40, 50)
    sums: dict[str, Sums] = {}
    for _ in range(pairs):
        for name, value in observations(base, base._replace(**candidate), None).items():
            sums[name] = sums.get(name, Sums()).plus(value)
    for name, one in sums.items():
        ShadowSum.objects.create(shadow=shadow, day=timezone.now().date(), name=name, **one._asdict())


def _pair(tenant: Tenant, shadow: Shadow, trace: Trace | None = None, **values: Any) -> ShadowPair:
    made = {"shadow_id": shadow.pk, "at": timezone.now(), "trace_id": trace.pk if trace else uuid4(), "stream": False}
    made |= {"base_failed": False, "candidate_failed": False, "base_cost_microusd": 1, "candidate_cost_microusd": 1}
    with tenant_context(tenant):
        return ShadowPair.objects.create(**made | {"answer": "What the shadow said."} | values)


def _problem(**wanted: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as refused:
        start_shadow(**{"percent": 10, "budget_microusd": 1, **wanted})
    return dict(refused.value.message_dict)


def test_what_cannot_be_a_shadow(tenant_a: Tenant) -> None:
    route, limited = _route(tenant_a), _deployment()
    DeploymentLimit.objects.create(deployment=limited, metric="tokens", window="day", limit=500)
    alias = save_route(Route(tenant=tenant_a, name=unique("alias"), alias_of=route), candidates=[])
    platform = Route.objects.create(
        tenant=tenant_a, name=unique("route"), policy=Policy.objects.get(pk=_route(None).policy_id)
    )
    theirs = save_draft(policy=platform.policy, text=NO_CACHE + "\n", base=1)
    past = timezone.now() - timedelta(minutes=1)
    assert "another name" in _problem(route=alias, candidate=_deployment())["route"][0]
    assert "has limits of its own" in _problem(route=route, candidate=limited)["deployment"][0]
    assert "only chat" in _problem(route=route, candidate=_deployment(serves="embeddings"))["deployment"][0]
    assert "switched off" in _problem(route=route, candidate=_deployment(enabled=False))["deployment"][0]
    assert "not the route's own" in _problem(route=platform, candidate=theirs)["policy_version"][0]
    assert "is over" in _problem(route=route, candidate=_deployment(), until=past)["until"][0]
    assert "percent" in _problem(route=route, candidate=_deployment(), percent=101)
    start_shadow(route=route, candidate=_deployment(), percent=1, budget_microusd=0)
    assert "has a shadow already" in _problem(route=route, candidate=_deployment())["route"][0]


def test_another_tenants_shadow_is_the_same_as_none(sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant) -> None:
    ours, theirs, platform = _shadow(tenant_a), _shadow(tenant_b), _shadow(None)
    owner = sign_in("owner", tenant_a)
    listed = owner.get("/admin/routing/shadow/").content.decode()
    assert ours.name in listed and theirs.name not in listed and platform.name not in listed
    assert owner.get(f"/admin/routing/shadow/{ours.pk}/change/").status_code == 200
    for hidden in (theirs, platform, Shadow(pk=2**40)):
        assert owner.get(f"/admin/routing/shadow/{hidden.pk}/change/").status_code == 404
        assert owner.post(f"/admin/routing/shadow/{hidden.pk}/stop/").status_code == 404
    assert Shadow.objects.filter(pk__in=[theirs.pk, platform.pk], stopped_at=None).count() == 2
    form = owner.get("/admin/routing/shadow/add/").content.decode()
    assert ours.route.name in form and theirs.route.name not in form and f">{platform.route.name}<" not in form


def test_pairs_of_another_tenant_are_not_on_the_page(sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant) -> None:
    """Even if a row of theirs names our shadow."""
    shadow = _shadow(tenant_a)
    _pair(tenant_b, shadow, answer="A secret of B")
    address = f"/admin/routing/shadow/{shadow.pk}/change/"
    assert "A secret of B" not in sign_in("owner").get(address).content.decode()
    assert "A secret of B" not in sign_in(None).get(f"{address}?tenant=all").content.decode()


def test_staff_see_a_tenants_pairs_of_the_platforms_shadow_when_they_choose_it(
    sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    shadow = _shadow(None)
    _pair(tenant_b, shadow, answer="Said to B")
    address, staff = f"/admin/routing/shadow/{shadow.pk}/change/", sign_in(None)
    assert "Said to B" in staff.get(f"{address}?tenant={tenant_b.slug}").content.decode()
    assert "Said to B" not in staff.get(f"{address}?tenant={tenant_a.slug}").content.decode()
    assert sign_in("owner", tenant_b).get(address).status_code == 404


def test_the_page_shows_both_sides_and_answers_only_to_who_may_read_them(sign_in: SignIn, tenant_a: Tenant) -> None:
    shadow = _shadow(tenant_a)
    _compared(shadow, 40, latency=130.0, cost=20)
    ShadowSum.objects.create(shadow=shadow, day=timezone.now().date(), name="dropped:spent", n=7, total=0, squares=0)
    trace = make_trace(tenant_a, id=uuid4(), response_json=ANSWER)
    _pair(tenant_a, shadow, trace, base_latency_ms=100, candidate_latency_ms=130)
    _pair(tenant_a, shadow, candidate_failed=True, error_code="timeout", answer="")
    address = f"/admin/routing/shadow/{shadow.pk}/change/"
    page = sign_in("analyst").get(address).content.decode()
    for said in ("× 1.30 (1.30 to 1.30)", "× 0.50", "Worse", "Better", "What the client got.", "What the shadow said."):
        assert said in page, said
    assert "the budget of the day was spent" in page and f"/admin/traces/{trace.pk}/" in page and "timeout" in page
    viewer = sign_in("viewer").get(address).content.decode()
    assert "× 1.30" in viewer and "What the client got." not in viewer and "What the shadow said." not in viewer


def test_an_admin_starts_and_stops_one_and_the_audit_log_says_so(sign_in: SignIn, tenant_a: Tenant) -> None:
    route = _route(tenant_a)
    save_route(route, candidates=[(_deployment(), None), (candidate := _deployment(), None)])
    admin = sign_in("admin", tenant_a)
    wanted = {"route": route.pk, "candidate": f"deployment-{candidate.pk}", "percent": "5", "dollars": "0.5"}
    wanted |= {"concurrent": "2", "days": "1", "similarity": "on"}
    address = admin.post("/admin/routing/shadow/add/", wanted)["Location"]
    shadow = Shadow.objects.get(route=route)
    assert (shadow.percent, shadow.budget_microusd, shadow.concurrent, shadow.similarity) == (5, 500_000, 2, True)
    assert shadow.until is not None and shadow.live
    assert "has a shadow already" in admin.post("/admin/routing/shadow/add/", wanted).content.decode()
    assert "gets 5 %" in admin.get(address).content.decode()
    Deployment.objects.filter(pk=candidate.pk).update(enabled=False)
    assert "cannot be used: it is switched off." in admin.get(address).content.decode()
    editor = sign_in("editor", tenant_a)
    assert editor.get(address).status_code == 200
    stop = f"/admin/routing/shadow/{shadow.pk}/stop/"
    assert editor.post(stop).status_code == editor.get("/admin/routing/shadow/add/").status_code == 404
    assert admin.get(stop).status_code == 405
    assert "Stopped" in admin.post(stop, follow=True).content.decode()
    shadow.refresh_from_db()
    assert shadow.stopped_at is not None and not stop_shadow(shadow=shadow)
    entries = AuditEntry.objects.filter(object="routing_shadow", object_id=str(shadow.pk))
    assert {one.action for one in entries} == {"created", "changed"}
    assert {one.name for one in entries} == {f"{candidate.slug} beside {route.name}"}
    assert {one.tenant for one in entries} == {tenant_a.slug}


def _run(*args: Any) -> str:
    said = StringIO()
    call_command("shadow", *args, stdout=said)
    return said.getvalue()


def test_the_command_does_the_same(tenant_a: Tenant) -> None:
    route, candidate = _route(tenant_a), _deployment()
    given = ("start", route.name, "--tenant", tenant_a.slug, "--dollars", "2", "--days", "1")
    said = _run(*given, "--deployment", candidate.slug)
    assert f"{candidate.slug} gets copies of 10 % of {route.name}" in said
    shadow = Shadow.objects.get(route=route)
    with pytest.raises(CommandError, match="has a shadow already"):
        _run(*given, "--deployment", candidate.slug)
    _compared(shadow, 40, latency=130.0)
    [told] = [one for one in json.loads(_run("status", "--json")) if one["id"] == shadow.pk]
    assert (told["state"], told["pairs"], told["budget_microusd"]) == ("running", 40, 2_000_000)
    assert (told["spent_today_microusd"], told["figures"][1]["change"]) == (1_600, "× 1.30 (1.30 to 1.30)")
    assert f"{candidate.slug} beside {route.name}: running, 40 pairs" in _run("status")
    assert "stopped" in _run("stop", shadow.pk) and "was stopped before" in _run("stop", shadow.pk)
    for wrong in (("stop", 2**40), (*given, "--deployment", "nobody"), (*given, "--policy-version", 99)):
        with pytest.raises(CommandError, match="There is no"):
            _run(*wrong)


def test_pairs_go_when_traces_would(tenant_a: Tenant, settings: Any) -> None:
    shadow = _shadow(tenant_a)
    old = _pair(tenant_a, shadow, at=timezone.now() - timedelta(days=settings.RELAY_TRACE_DAYS, minutes=1))
    new = _pair(tenant_a, shadow, at=timezone.now() - timedelta(days=settings.RELAY_TRACE_DAYS, minutes=-1))
    assert forget_pairs() >= 1
    with tenant_context(tenant_a):
        assert not ShadowPair.objects.filter(pk=old.pk).exists() and ShadowPair.objects.filter(pk=new.pk).exists()
