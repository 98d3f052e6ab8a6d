"""Policies in the console: drafts, checks, activation, roll-back, two people at once; and who may do what."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import SignIn, unique
from routing import services
from routing.models import Deployment, Policy, Provider, Route, RouteCandidate
from tenants.models import Membership, Tenant
from tenants.services import create_api_key

pytestmark = pytest.mark.django_db
Role = Membership.Role
TEXT = services.STARTER
OTHER = TEXT.replace("max_tokens: 512", "max_tokens: 640")
BROKEN = TEXT.replace("lane: short", "lane: middle")


@pytest.fixture
def policy(tenant_a: Tenant) -> Policy:
    """v1 is active, v2 a draft."""
    services.import_policy(tenant=tenant_a, slug=unique("chat"), text=TEXT, activated=True, author="maya")
    policy = Policy.objects.filter(tenant=tenant_a).latest("pk")
    services.save_draft(policy=policy, text=OTHER, note="More tokens", author="eddi", base=1)
    return policy


def at(policy: Policy, view: str = "change", **query: Any) -> str:
    named = "".join(f"&{name}={value}" for name, value in query.items())
    slug = policy.tenant.slug if policy.tenant else "acme"
    return f"/admin/routing/policy/{policy.pk}/{view}/?tenant={slug}{named}"


def html(answer: Any) -> str:
    return str(answer.content.decode())


def live(policy: Policy) -> int | None:
    policy.refresh_from_db()
    return policy.active_version


def test_the_editor_shows_the_newest_draft_beside_what_is_live(sign_in: SignIn, policy: Policy) -> None:
    page = html(sign_in(Role.ADMIN).get(at(policy)))
    assert "Live traffic uses <b>v1</b>" in page
    assert "v2 draft" in page and "More tokens" in page
    assert "defaults.max_tokens: 512 → 640." in page
    assert "Review and activate" in page


def test_a_save_is_a_new_version_and_changes_nothing_live(sign_in: SignIn, policy: Policy) -> None:
    text = OTHER.replace("640", "700").replace("\n", "\r\n")
    answer = sign_in(Role.EDITOR).post(at(policy), {"text": text, "note": "Even more", "base": "2"})
    assert answer.status_code == 302 and "version=3" in answer["Location"]
    saved = policy.versions.get(number=3)
    assert saved.text == OTHER.replace("640", "700") and saved.note == "Even more"
    assert live(policy) == 1


def test_two_people_at_once_are_both_offered_both_texts(sign_in: SignIn, policy: Policy) -> None:
    services.save_draft(policy=policy, text=OTHER.replace("640", "800"), author="somebody-else", base=2)
    client = sign_in(Role.EDITOR)
    answer = client.post(at(policy), {"text": OTHER.replace("640", "900"), "base": "2"})
    page = html(answer)
    assert answer.status_code == 409 and policy.versions.count() == 3
    assert "somebody-else saved v3" in page
    assert "800" in page and "max_tokens: 900" in page
    assert 'name="base" value="3"' in page
    client.post(at(policy), {"text": OTHER.replace("640", "900"), "base": "3"})
    assert "900" in policy.versions.get(number=4).text


def test_a_check_names_line_path_and_what_is_allowed(sign_in: SignIn, policy: Policy) -> None:
    client = sign_in(Role.EDITOR)
    found = client.post(at(policy, "check"), {"text": BROKEN, "left": "1"}).json()
    (problem,) = found["problems"]
    line = BROKEN.splitlines().index("  lane: middle") + 1
    assert not found["valid"] and problem["line"] == line and problem["path"] == "defaults.lane"
    assert "short, long" in problem["message"]
    good = client.post(at(policy, "check"), {"text": OTHER, "left": "1"}).json()
    assert good["valid"] and "512 → 640" in good["changes"]
    assert policy.versions.count() == 2


@pytest.mark.parametrize(
    "text", ["", "[" * 20_000, "a: *b", "\x00", "é" * 70_000, ": :\n- -", "- {a: [}", "<script>alert(1)</script>"]
)
def test_no_text_breaks_the_editor(text: str, sign_in: SignIn, policy: Policy) -> None:
    client = sign_in(Role.EDITOR)
    assert not client.post(at(policy, "check"), {"text": text, "left": "1"}).json()["valid"]
    saved = client.post(at(policy), {"text": text, "base": "2"})
    assert saved.status_code in (302, 400)
    page = html(client.get(at(policy)))
    assert "<script>alert" not in page


def test_activation_shows_the_difference_then_goes_live(sign_in: SignIn, policy: Policy) -> None:
    client = sign_in(Role.ADMIN)
    page = html(client.get(at(policy, "activate", version=2)))
    assert "Activate v2?" in page and "512 → 640" in page and live(policy) == 1
    done = client.post(at(policy, "activate"), {"version": "2", "expected": "1", "note": "Approved"})
    assert live(policy) == 2 and policy.versions.get(number=2).note == "Approved"
    undone = html(client.get(done["Location"]))
    assert "Undo: back to v1" in undone


def test_a_broken_draft_is_saved_but_never_activated(sign_in: SignIn, policy: Policy) -> None:
    client = sign_in(Role.ADMIN)
    client.post(at(policy), {"text": BROKEN, "base": "2"})
    assert 'aria-disabled="true"' in html(client.get(at(policy)))
    assert "disabled>Activate v3" in html(client.get(at(policy, "activate", version=3)))
    page = html(client.post(at(policy, "activate"), {"version": "3", "expected": "1"}, follow=True))
    assert "v3 has problems" in page and live(policy) == 1


def test_activation_on_top_of_somebody_elses_changes_nothing(sign_in: SignIn, policy: Policy) -> None:
    services.activate(policy=policy, number=2, expected=1)
    page = html(sign_in(Role.ADMIN).post(at(policy, "activate"), {"version": "1", "expected": "1"}, follow=True))
    assert "Nothing was changed" in page and live(policy) == 2


def test_a_roll_back_is_a_new_version_with_the_old_text_and_can_be_undone(sign_in: SignIn, policy: Policy) -> None:
    services.activate(policy=policy, number=2, expected=1)
    client = sign_in(Role.ADMIN)
    assert "Roll back to v1" in html(client.get(at(policy)))
    assert "becomes <b>v3</b>" in html(client.get(at(policy, "rollback", version=1)))
    done = client.post(at(policy, "rollback"), {"version": "1", "expected": "2"})
    assert live(policy) == 3 and policy.versions.get(number=3).text == TEXT
    assert "Undo: back to v2" in html(client.get(done["Location"]))
    client.post(at(policy, "rollback"), {"version": "2", "expected": "3"})
    assert live(policy) == 4 and policy.versions.get(number=4).text == policy.versions.get(number=2).text


def test_there_is_no_way_back_to_what_was_never_active(sign_in: SignIn, policy: Policy) -> None:
    page = html(sign_in(Role.OWNER).post(at(policy, "rollback"), {"version": "2", "expected": "1"}, follow=True))
    assert "v2 was never active" in page and live(policy) == 1


def test_any_two_versions_compare(sign_in: SignIn, policy: Policy) -> None:
    page = html(sign_in(Role.VIEWER).get(at(policy, left=2, right=1)))
    assert "v2 to v1 (active)" in page and "640 → 512" in page


@pytest.mark.parametrize(
    "query", ["version=99", "version=x", "version=99999999999999", "left=1&right=77", "version=-1"]
)
def test_a_version_that_is_not_there_is_not_found(query: str, sign_in: SignIn, policy: Policy) -> None:
    assert sign_in(Role.VIEWER).get(f"/admin/routing/policy/{policy.pk}/change/?{query}").status_code == 404


@pytest.mark.parametrize(
    ("role", "saves", "activates", "tries"),
    [
        (Role.VIEWER, 403, 403, 403),
        (Role.ANALYST, 403, 403, 403),
        (Role.EDITOR, 302, 403, 200),
        (Role.ADMIN, 302, 302, 200),
        (Role.OWNER, 302, 302, 200),
        (None, 302, 302, 200),
    ],
)
def test_roles(role: str | None, saves: int, activates: int, tries: int, sign_in: SignIn, policy: Policy) -> None:
    client = sign_in(role)
    assert client.get(at(policy)).status_code == 200
    assert client.post(at(policy, "try"), {"text": TEXT, "model": "chat"}).status_code == tries
    assert client.post(at(policy, "activate"), {"version": "2", "expected": "1"}).status_code == activates
    assert client.get(at(policy, "rollback", version=1)).status_code == (200 if activates == 302 else 403)
    assert client.post(at(policy), {"text": OTHER + "#", "base": "2"}).status_code == saves
    assert (live(policy) == 2) == (activates == 302)


def test_another_tenants_policy_is_not_there(sign_in: SignIn, policy: Policy, tenant_b: Tenant) -> None:
    client = sign_in(Role.OWNER, tenant_b)
    base = f"/admin/routing/policy/{policy.pk}"
    forms = {"change": {"text": OTHER, "base": "2"}, "delete": {"post": "yes"}, "check": {"text": TEXT, "left": "1"}}
    forms |= {"try": {"text": TEXT, "model": "chat"}, "activate": {"version": "2", "expected": "1"}}
    for view, form in (forms | {"rollback": {"version": "1", "expected": "1"}}).items():
        assert client.post(f"{base}/{view}/", form).status_code == 404, view
    for view in ("change/", "change/?left=1&right=2", "activate/?version=2", "rollback/?version=1", "history/"):
        assert client.get(f"{base}/{view}").status_code == 404, view
    assert policy.slug not in html(client.get("/admin/routing/policy/"))
    assert live(policy) == 1 and policy.versions.count() == 2


def test_a_policy_of_the_platform_is_read_by_all_and_written_by_staff(sign_in: SignIn) -> None:
    services.import_policy(tenant=None, slug=unique("shared"), text=TEXT, activated=True)
    shared = Policy.objects.filter(tenant=None).latest("pk")
    owner = sign_in(Role.OWNER)
    assert shared.slug in html(owner.get(f"/admin/routing/policy/?tenant=acme&q={shared.slug}"))
    page = html(owner.get(at(shared)))
    assert "belongs to the platform" in page and 'id="save"' not in page
    assert owner.post(at(shared), {"text": OTHER, "base": "1"}).status_code == 403
    assert owner.post(at(shared, "rollback"), {"version": "1", "expected": "1"}).status_code == 403
    assert owner.post(at(shared, "delete"), {"post": "yes"}).status_code == 403
    assert sign_in(None).post(at(shared), {"text": OTHER, "base": "1"}).status_code == 302


def test_a_new_policy_belongs_to_the_current_tenant(sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant) -> None:
    client, slug = sign_in(Role.EDITOR), unique("fresh")
    form = {"slug": slug, "name": "Fresh", "tenant": tenant_b.pk, "active_version": "7"}
    assert client.post("/admin/routing/policy/add/?tenant=acme", form).status_code == 302
    made = Policy.objects.get(slug=slug)
    assert made.tenant == tenant_a and made.active_version is None and made.versions.get().number == 1
    assert "No version is active" in html(client.get(at(made)))
    again = client.post("/admin/routing/policy/add/?tenant=acme", form)
    assert again.status_code == 200 and Policy.objects.filter(slug=slug).count() == 1


@pytest.fixture
def route(tenant_a: Tenant, policy: Policy) -> Route:
    provider = Provider.objects.create(
        slug=unique("mock"), name="Mock", kind="mock", base_url="https://user:hidden@host/"
    )
    deployment = Deployment.objects.create(
        slug=unique("fast"), provider=provider, model="fast", options={"seed": 987123}
    )
    route = Route.objects.create(tenant=tenant_a, name=unique("chat"), policy=policy)
    RouteCandidate.objects.create(route=route, deployment=deployment)
    return route


def test_trying_a_text_shows_its_plan_beside_the_active_ones(sign_in: SignIn, policy: Policy, route: Route) -> None:
    form = {
        "text": OTHER.replace("lane: short", "lane: long"),
        "model": route.name,
        "prompt": "Hello",
        "metadata": "job=batch",
    }
    page = html(sign_in(Role.EDITOR).post(at(policy, "try"), form))
    assert route.steps.get().deployment.slug in page
    assert "<td>640</td>" in page and ">512<" in page and ">same<" in page
    assert policy.versions.count() == 2


def test_trying_a_scored_text_shows_points_task_and_strategy(sign_in: SignIn, policy: Policy, route: Route) -> None:
    form = {
        "text": OTHER.replace("defaults:\n", "defaults:\n  strategy: scored\n"),
        "model": route.name,
        "prompt": "Fix this Python bug",
    }
    page = html(sign_in(Role.EDITOR).post(at(policy, "try"), form))
    assert "<td>scored</td>" in page and "<td>coding</td>" in page
    assert "Points" in page and " points." in page


def test_the_editor_explains_every_field(sign_in: SignIn, policy: Policy) -> None:
    page = html(sign_in(Role.EDITOR).get(at(policy)))
    assert "What a policy may say" in page and "slo_burn_aware" in page and "rules.*.when" in page


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "somebody-elses"}, "Choose a model"),
        ({"key": "somebody-elses"}, "no such key"),
        ({"max_tokens": "many"}, "max_tokens must be"),
        ({"max_tokens": "9" * 40}, "max_tokens must be"),
        ({"metadata": "nonsense"}, "name=value"),
        ({"text": BROKEN}, "It has problems"),
    ],
)
def test_a_bad_try_says_why(change: dict[str, str], words: str, sign_in: SignIn, policy: Policy, route: Route) -> None:
    form = {"text": TEXT, "model": route.name, "prompt": "Hello"} | change
    assert words in html(sign_in(Role.EDITOR).post(at(policy, "try"), form))


def test_a_try_offers_only_the_own_keys(sign_in: SignIn, policy: Policy, route: Route, tenant_b: Tenant) -> None:
    key, _ = create_api_key(tenant=tenant_b, name=unique("their-key"))
    client = sign_in(Role.OWNER)
    assert key.name not in html(client.get(at(policy)))
    form = {"text": TEXT, "model": route.name, "key": key.name}
    assert "no such key" in html(client.post(at(policy, "try"), form))


def test_tenants_see_the_providers_behind_their_routes_without_addresses(
    sign_in: SignIn, route: Route, tenant_b: Tenant
) -> None:
    deployment = route.steps.get().deployment
    owner, stranger, staff = sign_in(Role.OWNER), sign_in(Role.OWNER, tenant_b), sign_in(None)
    for page, row in (("provider", deployment.provider), ("deployment", deployment)):
        shown = html(owner.get(f"/admin/routing/{page}/{row.pk}/change/?tenant=acme"))
        assert row.slug in shown and "987123" not in shown and "user:hidden" not in shown
        assert owner.post(f"/admin/routing/{page}/{row.pk}/change/", {"name": "x"}).status_code == 403
        assert stranger.get(f"/admin/routing/{page}/{row.pk}/change/").status_code == 404
        assert row.slug not in html(stranger.get(f"/admin/routing/{page}/"))
        assert "user:hidden" in html(staff.get(f"/admin/routing/{page}/{row.pk}/change/")) or page == "deployment"


def test_a_route_offers_only_what_the_tenant_may_use(
    sign_in: SignIn, route: Route, policy: Policy, tenant_b: Tenant
) -> None:
    services.create_policy(tenant=tenant_b, slug=unique("theirs"))
    theirs = Policy.objects.filter(tenant=tenant_b).latest("pk")
    mine = route.steps.get().deployment
    other = Deployment.objects.create(slug=unique("unseen"), provider=mine.provider, model="m")
    client = sign_in(Role.ADMIN)
    page = html(client.get("/admin/routing/route/add/?tenant=acme"))
    assert policy.slug in page and theirs.slug not in page and mine.slug in page and other.slug not in page

    def add(chosen: Policy, deployment: Deployment) -> Any:
        steps = {"steps-TOTAL_FORMS": "1", "steps-INITIAL_FORMS": "0", "steps-0-position": "0"}
        form = {"name": unique("r"), "policy": chosen.pk, "sticky": "none", "enabled": "on"}
        form |= {"steps-0-deployment": deployment.pk}
        return client.post("/admin/routing/route/add/?tenant=acme", steps | form)

    assert add(theirs, mine).status_code == 200
    assert add(policy, other).status_code == 200
    assert add(policy, mine).status_code == 302
    assert Route.objects.latest("pk").tenant == policy.tenant


def test_pages_stay_within_their_query_budget(sign_in: SignIn, policy: Policy) -> None:
    client = sign_in(Role.ADMIN)
    client.get("/admin/routing/policy/?tenant=acme")
    with CaptureQueriesContext(connection) as seen:
        client.get("/admin/routing/policy/?tenant=acme")
    assert len([query for query in seen if "SELECT" in query["sql"]]) <= 12
