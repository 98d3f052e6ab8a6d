"""Who may see and move a canary: by the admin API, in the console and on the command line."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from conftest import SignIn, unique
from routing.canaries import NoLiveCanary, advance, look_at_all, roll_back, start_canary
from routing.models import Canary, CanaryCall, CanaryEvidence, Deployment, Policy, PolicyVersion, Provider, Route
from routing.services import import_policy, save_draft, save_route
from routing.tests.stage import NO_CACHE
from tenants.models import Tenant

TOKEN = "t" * 40
pytestmark = pytest.mark.usefixtures("committed", "db")


@pytest.fixture(autouse=True)
def configured(settings: Any) -> None:
    settings.ADMIN_TOKEN, settings.SECURE_SSL_REDIRECT = TOKEN, False


def _deployment(**values: Any) -> Deployment:
    provider = Provider.objects.create(slug=unique("mock"), name="Mock", kind=Provider.Kind.MOCK)
    return Deployment.objects.create(slug=unique("model"), provider=provider, model="m", **values)


def _route(tenant: Tenant | None, **values: Any) -> Route:
    name = unique("route")
    version, _ = import_policy(tenant=tenant, slug=name, text=NO_CACHE, activated=True)
    route = Route(tenant=tenant, name=name, policy=version.policy, **values)
    return save_route(route, candidates=[(_deployment(), None)])


def _canary(tenant: Tenant | None) -> Canary:
    return start_canary(route=_route(tenant), candidate=_deployment(), by="test")


def _fed(canary: Canary, *, calls: int, failed: int = 0) -> None:
    for index in range(calls):
        CanaryCall.objects.create(canary_id=canary.pk, candidate=False, failed=False, latency_ms=20)
        CanaryCall.objects.create(canary_id=canary.pk, candidate=True, failed=index < failed, latency_ms=20)


def _post(verb: str, client: Client | None = None, token: str = TOKEN, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return (client or Client()).post(f"/v1/admin/canary/{verb}", body, content_type="application/json", headers=headers)


def _status(client: Client | None = None, token: str = TOKEN) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return (client or Client()).get("/v1/admin/canary/status", headers=headers)


def test_the_api_is_for_the_token_and_for_staff(sign_in: SignIn, settings: Any) -> None:
    for refused in (_status(token=""), _status(token="t" * 39), _status(sign_in("owner"), token="")):
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_admin_token")
    assert _status().status_code == _status(sign_in(None), token="").status_code == 200
    assert _status(sign_in(None), token="wrong").status_code == 401, "a token that is sent decides"
    settings.ADMIN_TOKEN = ""
    assert _status().status_code == _status(token="").status_code == 404
    assert _status(sign_in(None), token="").status_code == 200


def test_one_that_cannot_be_looked_at_keeps_no_other_from_it(
    tenant_a: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    broken, well, broken_too = (_canary(tenant_a) for _ in range(3))
    CanaryEvidence.objects.filter(canary__in=[broken, broken_too]).update(data={"errors": "nonsense"})
    assert well.deployment is not None
    Deployment.objects.filter(pk=well.deployment.pk).update(enabled=False)
    look_at_all()
    well.refresh_from_db()
    assert well.state == Canary.State.ROLLED_BACK
    assert {broken.pk, broken_too.pk} <= {getattr(record, "canary", None) for record in caplog.records}
    Canary.objects.filter(pk__in=[broken.pk, broken_too.pk]).delete()


def test_a_browser_needs_its_csrf_token(sign_in: SignIn, tenant_a: Tenant) -> None:
    canary, person = _canary(tenant_a), sign_in(None)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = person.cookies
    assert _post("rollback", strict, "", canary=canary.pk).json()["error"]["code"] == "csrf_failed"
    assert _post("rollback", person, "", canary=canary.pk).status_code == 200


def test_advance_says_no_until_the_guardrails_agree(tenant_a: Tenant) -> None:
    canary = _canary(tenant_a)
    refused = _post("advance", canary=canary.pk)
    assert refused.status_code == 409
    assert refused.json()["error"]["message"] == "The stage needs 200 calls of the candidate; it has 0."
    forced = _post("advance", canary=canary.pk, force=True).json()
    assert (forced["state"], forced["share"]) == ("running", 5)
    assert forced["transitions"][-1]["why"].startswith("By hand: The stage needs 200")
    assert forced["transitions"][-1]["by"] == "admin token"
    back = _post("rollback", canary=canary.pk, note="Not today.").json()
    assert (back["state"], back["transitions"][-1]["why"]) == ("rolled_back", "By hand. Not today.")
    assert _post("advance", canary=canary.pk, force=True).status_code == 409
    assert _post("rollback", canary=canary.pk).json()["error"]["message"].endswith("has ended: rolled back.")


def test_a_paused_one_stays_where_it_is_until_it_is_resumed(tenant_a: Tenant, sign_in: SignIn) -> None:
    canary, worse = _canary(tenant_a), _canary(tenant_a)
    for one in (canary, worse):
        assert _post("pause", canary=one.pk, note="Friday.").json()["state"] == "paused"
    assert _post("pause", canary=canary.pk).status_code == 409, "it is paused already"
    _fed(canary, calls=200)
    _fed(worse, calls=100, failed=60)
    look_at_all()
    canary.refresh_from_db()
    worse.refresh_from_db()
    assert (canary.state, canary.share, worse.state) == ("paused", 1, "rolled_back")
    page = sign_in("admin", tenant_a).get(f"/admin/routing/canary/{canary.pk}/change/").content.decode()
    assert "Paused by hand at 1 %." in page and "Resume" in page and "Friday." in page
    back = _post("resume", canary=canary.pk).json()
    assert (back["state"], back["share"]) == ("running", 1)
    assert _post("resume", canary=canary.pk).status_code == 409
    look_at_all()
    canary.refresh_from_db()
    assert canary.share == 5, "what was seen meanwhile counts"
    admin = sign_in("admin", tenant_a)
    for verb, state in (("pause", "paused"), ("resume", "running")):
        admin.post(f"/admin/routing/canary/{canary.pk}/{verb}/")
        canary.refresh_from_db()
        assert canary.state == state


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"canary": 2**40}, 404),
        ({"canary": "first"}, 400),
        ({"canary": 2**70}, 400),
        ({"canary": True}, 400),
        ({"force": "perhaps"}, 400),
        ({"fast": True}, 400),
    ],
)
def test_what_is_wrong_is_said(body: dict[str, Any], status: int) -> None:
    assert _post("advance", **body).status_code == status
    assert _post("rollback", note={}).status_code == 400


def test_the_watcher_advances_holds_and_rolls_back(tenant_a: Tenant) -> None:
    good, bad, unsure = (_canary(tenant_a) for _ in range(3))
    _fed(good, calls=200)
    _fed(bad, calls=100, failed=40)
    for _ in range(10):
        _fed(unsure, calls=20, failed=1)
        CanaryCall.objects.create(canary_id=unsure.pk, candidate=False, failed=True)
    look_at_all()
    for row in (good, bad, unsure):
        row.refresh_from_db()
    assert (good.state, good.share) == ("running", 5)
    assert (bad.state, bad.share) == ("rolled_back", 0) and bad.ended_at is not None
    assert (unsure.state, unsure.share) == ("held", 1)
    assert "over 2.0%" in unsure.transitions.latest("at").why
    roll_back(canary=unsure)
    CanaryCall.objects.create(canary_id=unsure.pk, candidate=True, failed=False)
    look_at_all()
    assert not CanaryCall.objects.filter(canary_id__in=[bad.pk, unsure.pk]).exists()
    with pytest.raises(NoLiveCanary):
        advance(canary=bad, force=True)


def _problem(**wanted: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as refused:
        start_canary(**wanted)
    return dict(refused.value.message_dict)


def test_what_cannot_be_tried(tenant_a: Tenant) -> None:
    route = _route(tenant_a)
    alias = save_route(Route(tenant=tenant_a, name=unique("alias"), alias_of=route), candidates=[])
    only = Deployment.objects.get(steps__route=route)
    other = save_draft(policy=_route(tenant_a).policy, text=NO_CACHE, base=1)
    active = PolicyVersion.objects.get(policy=route.policy)
    broken = save_draft(policy=route.policy, text="rules: 5", base=1)
    platform = Route.objects.create(
        tenant=tenant_a, name=unique("route"), policy=Policy.objects.get(pk=_route(None).policy_id)
    )
    theirs = save_draft(policy=platform.policy, text=NO_CACHE + "\n", base=1)
    assert "another name" in _problem(route=alias, candidate=_deployment())["route"][0]
    assert "nothing that it could be compared" in _problem(route=route, candidate=only)["deployment"][0]
    assert "nothing that" in _problem(route=route, candidate=_deployment(serves="embeddings"))["deployment"][0]
    assert "switched off" in _problem(route=route, candidate=_deployment(enabled=False))["deployment"][0]
    assert "another policy" in _problem(route=route, candidate=other)["policy_version"][0]
    assert "made active" in _problem(route=route, candidate=active)["policy_version"][0]
    assert "not valid" in _problem(route=route, candidate=broken)["policy_version"][0]
    assert "not the route's own" in _problem(route=platform, candidate=theirs)["policy_version"][0]
    for stages in ([], [5, 5], [0], [5, 101], [50, 20]):
        wrong = {} if not stages else _problem(route=route, candidate=_deployment(), stages=stages)
        assert "stages" in wrong or not stages
    assert "window" in _problem(route=route, candidate=_deployment(), window=0)


def test_a_split_is_taken_over_whole(tenant_a: Tenant) -> None:
    route = _route(tenant_a)
    one, other = _deployment(), _deployment()
    save_route(route, candidates=[(one, 70), (other, 30)])
    canary = start_canary(route=route, candidate=other, stages=[100])
    _fed(canary, calls=200)
    look_at_all()
    canary.refresh_from_db()
    assert canary.state == "done"
    assert [(step.deployment, step.share) for step in route.steps.all()] == [(other, 100), (one, 0)]


def test_another_tenants_canary_is_the_same_as_none(sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant) -> None:
    ours, theirs, platform = _canary(tenant_a), _canary(tenant_b), _canary(None)
    owner = sign_in("owner", tenant_a)
    listed = owner.get("/admin/routing/canary/").content.decode()
    assert ours.name in listed and theirs.name not in listed and platform.name not in listed
    assert owner.get(f"/admin/routing/canary/{ours.pk}/change/").status_code == 200
    for hidden in (theirs, platform, Canary(pk=2**40)):
        assert owner.get(f"/admin/routing/canary/{hidden.pk}/change/").status_code == 404
        for verb in ("advance", "pause", "resume", "rollback"):
            assert owner.post(f"/admin/routing/canary/{hidden.pk}/{verb}/", {"force": "1"}).status_code == 404
    assert set(Canary.objects.filter(pk__in=[theirs.pk, platform.pk]).values_list("stage", "state")) == {(0, "running")}


def test_a_form_offers_only_what_is_the_tenants(sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant) -> None:
    mine, theirs, platform = _route(tenant_a), _route(tenant_b), _route(None)
    page = sign_in("admin", tenant_a).get("/admin/routing/canary/add/").content.decode()
    assert mine.name in page and theirs.name not in page and f">{platform.name}<" not in page
    wrong = {"route": theirs.pk, "candidate": "", "sticky": "key", "stages": "5, x", "window": 0}
    answer = sign_in("admin", tenant_a).post("/admin/routing/canary/add/", wrong)
    assert answer.status_code == 200 and not Canary.objects.filter(route=theirs).exists()
    assert answer.content.decode().count('role="alert"') == 4


def test_an_admin_starts_and_moves_one_in_the_console(sign_in: SignIn, tenant_a: Tenant) -> None:
    route = _route(tenant_a)
    save_route(route, candidates=[(_deployment(), None), (candidate := _deployment(), None)])
    admin = sign_in("admin", tenant_a)
    wanted = {"route": route.pk, "candidate": f"deployment-{candidate.pk}", "sticky": "key", "stages": "5", "window": 9}
    address = admin.post("/admin/routing/canary/add/", wanted)["Location"]
    canary = Canary.objects.get(route=route)
    assert (canary.stages, canary.window, canary.sticky) == ([5, 100], 9, "key")
    assert "has a canary already" in admin.post("/admin/routing/canary/add/", wanted).content.decode()
    _fed(canary, calls=8, failed=1)
    look_at_all()
    page = admin.get(address).content.decode()
    assert "The stage needs 9 calls of the candidate; it has 8." in page and "1 of 8" not in page
    where = f"/admin/routing/canary/{canary.pk}"
    assert "The stage needs 9" in admin.post(f"{where}/advance/", follow=True).content.decode()
    admin.post(f"{where}/advance/", {"force": "1"})
    canary.refresh_from_db()
    assert canary.share == 100
    admin.post(f"{where}/rollback/")
    canary.refresh_from_db()
    assert canary.state == "rolled_back" and canary.transitions.latest("at").by
    assert "Rolled back" in admin.get(address).content.decode()
    editor = sign_in("editor", tenant_a)
    assert editor.get(f"{where}/change/").status_code == 200
    assert editor.post(f"{where}/rollback/").status_code == editor.get("/admin/routing/canary/add/").status_code == 404


def _run(*args: Any) -> str:
    said = StringIO()
    call_command("canary", *args, stdout=said)
    return said.getvalue()


def test_the_command_does_the_same(tenant_a: Tenant) -> None:
    route, candidate = _route(tenant_a), _deployment()
    draft = save_draft(policy=route.policy, text=NO_CACHE + "\n", base=1)
    given = ("--tenant", tenant_a.slug, "--stages", "5,50")
    tried = ("start", route.name, "--deployment", candidate.slug, *given)
    with pytest.raises(CommandError, match="needs a reference answer"):
        _run(*tried, "--scorer", "exact")
    said = _run(*tried, "--scorer", "json_schema", "--score-daily", "9")
    assert f"{candidate.slug} takes 5 % of {route.name}" in said
    canary = Canary.objects.get(route=route)
    assert (canary.scoring.scorer, canary.scoring.daily) == ({"name": "json_schema"}, 9)
    with pytest.raises(CommandError, match="has a canary already"):
        _run("start", route.name, "--policy-version", draft.number, *given)
    with pytest.raises(CommandError, match="it has 0"):
        _run("advance", canary.pk)
    assert "running, 50 %" in _run("advance", canary.pk, "--force")
    [told] = [one for one in json.loads(_run("status", "--json")) if one["id"] == canary.pk]
    assert (told["candidate"], told["share"], told["tenant"]) == (candidate.slug, 50, tenant_a.slug)
    assert f"{candidate.slug} on {route.name}: running, 50 %" in _run("status")
    assert "paused, 50 %" in _run("pause", canary.pk, "--note", "Friday.")
    assert "running, 50 %" in _run("resume", canary.pk)
    assert "rolled back" in _run("rollback", canary.pk)
    for wrong in (
        ("start", "nowhere", "--deployment", "x"),
        ("advance", 2**40),
        ("start", route.name, "--deployment", "x", *given),
    ):
        with pytest.raises(CommandError, match="There is no"):
            _run(*wrong)
    with pytest.raises(CommandError, match="whole percentages"):
        _run("start", route.name, "--policy-version", draft.number, "--tenant", tenant_a.slug, "--stages", "a")
