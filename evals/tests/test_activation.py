"""A version is replayed before it goes live: what that says, who may go against it, and whose requests it reads."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django_tenants.utils import tenant_context

from conftest import SignIn, unique
from evals.replays import owners_of, sample_of
from evals.tests.replayed import DEAR, IN_ORDER, NOBODY, SAVING, policy_of, traffic
from routing.activation import NotProven, activate_proven
from routing.models import DecisionContext, Policy, Proof
from routing.services import Conflict, save_draft
from tenants.models import AuditEntry, Membership, Tenant
from traces.tests.rows import make_trace

pytestmark = pytest.mark.django_db
Role = Membership.Role


@pytest.fixture
def policy(tenant_a: Tenant) -> Policy:
    """v1 is live and planned 40 requests; v2 asks the dear one first, v3 sends all to the long lane and says less."""
    policy = policy_of(tenant_a)
    traffic(policy, tenant_a, 40)
    save_draft(policy=policy, text=DEAR, base=1)
    save_draft(policy=policy, text=SAVING, base=2)
    return policy


def live(policy: Policy) -> int | None:
    return Policy.objects.values_list("active_version", flat=True).get(pk=policy.pk)


def at(policy: Policy, version: int = 0) -> str:
    path = f"/admin/routing/policy/{policy.pk}/activate/?tenant={policy.tenant.slug if policy.tenant else 'all'}"
    return f"{path}&version={version}" if version else path


def page(client: Client, policy: Policy, version: int) -> str:
    answer = client.get(at(policy, version))
    assert answer.status_code == 200
    return answer.content.decode()


def test_what_is_worse_does_not_go_live(policy: Policy) -> None:
    with pytest.raises(NotProven, match=r"Cost of a request \+.* %; \+5 % is allowed"):
        activate_proven(policy=policy, number=2, expected=1, by="maya")
    proof = Proof.objects.get(version__policy=policy)
    assert (proof.verdict, proof.activated, proof.base, proof.sample, proof.by) == ("worse", False, 1, 40, "maya")
    assert live(policy) == 1
    assert "a secret question" not in json.dumps(proof.report)


def test_what_is_not_worse_goes_live_with_its_proof(policy: Policy) -> None:
    version, proof = activate_proven(policy=policy, number=3, expected=1, note="Less")
    assert (version.number, live(policy), version.note) == (3, 3, "Less")
    assert (proof.verdict, proof.activated, proof.override) == ("better", True, "")
    lanes = next(move for move in proof.report["moves"] if move["what"] == "Lane")
    assert lanes["rows"] == [{"old": "short", "new": "long", "count": 40, "same": False}]
    assert len(proof.report["most_changed"]) == 10


def test_the_first_version_has_nothing_to_be_compared_with(tenant_a: Tenant) -> None:
    fresh = policy_of(tenant_a)
    save_draft(policy=fresh, text=DEAR, base=1)
    _, proof = activate_proven(policy=fresh, number=2, expected=1)
    assert (proof.verdict, proof.sample, live(fresh)) == ("undecided", 0, 2)
    assert "nothing to replay" in proof.report["why"]


def test_a_reason_overrides_and_is_in_the_audit_log(policy: Policy) -> None:
    _, proof = activate_proven(policy=policy, number=2, expected=1, override="The cheap one is being shut down.")
    assert (proof.verdict, proof.activated, live(policy)) == ("worse", True, 2)
    entry = AuditEntry.objects.get(object="routing_proof", object_id=str(proof.pk))
    assert entry.changes["override"] == [None, "The cheap one is being shut down."]
    assert "report" not in entry.changes and entry.name == f"{policy.slug} v2"
    assert entry.tenant_id == policy.tenant_id


def test_of_two_at_once_one_wins_and_the_other_leaves_nothing(policy: Policy) -> None:
    activate_proven(policy=policy, number=3, expected=1)
    with pytest.raises(Conflict):
        activate_proven(policy=policy, number=1, expected=1, override="Back")
    assert live(policy) == 3
    assert not Proof.objects.filter(version__policy=policy, version__number=1).exists()


def test_one_more_refusal_is_enough(tenant_a: Tenant) -> None:
    """It is a fact, so no sample is too small."""
    policy = policy_of(tenant_a)
    traffic(policy, tenant_a, 3, input_tokens=50_000)
    save_draft(policy=policy, text=NOBODY, base=1)
    with pytest.raises(NotProven, match="More requests are refused: 0 % → 100 %"):
        activate_proven(policy=policy, number=2, expected=1)


def test_the_page_shows_the_replay_and_an_owner_may_override(sign_in: SignIn, policy: Policy) -> None:
    client = sign_in(Role.OWNER)
    told = page(client, policy, 2)
    for words in ("Worse", "40 requests", "cheap → <b>fast</b>", "Cost of a request", "Most changed"):
        assert words in told, words
    assert "a secret question" not in told
    refused = client.post(at(policy), {"version": "2", "expected": "1"}, follow=True).content.decode()
    assert "v2 is worse in its replay" in refused and live(policy) == 1
    client.post(at(policy), {"version": "2", "expected": "1", "override": "We must."})
    assert live(policy) == 2
    assert Proof.objects.get(version__policy=policy, activated=True).override == "We must."


def test_an_admin_may_not_override(sign_in: SignIn, policy: Policy) -> None:
    client = sign_in(Role.ADMIN)
    told = page(client, policy, 2)
    assert "An owner may override this" in told and 'name="override"' not in told and " disabled>Activate v2" in told
    client.post(at(policy), {"version": "2", "expected": "1", "override": "I want it."})
    assert live(policy) == 1
    assert "Better" in page(client, policy, 3)
    client.post(at(policy), {"version": "3", "expected": "1"})
    assert live(policy) == 3


def test_requests_of_others_are_in_nobodys_replay(sign_in: SignIn, policy: Policy, tenant_b: Tenant) -> None:
    """Another tenant's policy of the same name, and the platform's, planned theirs."""
    theirs = Policy.objects.create(tenant=tenant_b, slug=policy.slug, name="x")
    save_draft(policy=theirs, text=IN_ORDER, base=0)
    shared = Policy.objects.create(tenant=None, slug=policy.slug, name="x")
    save_draft(policy=shared, text=IN_ORDER, base=0)
    for row in (theirs, shared):
        Policy.objects.filter(pk=row.pk).update(active_version=1)
        row.refresh_from_db()
    others = {*traffic(theirs, tenant_b, 3), *traffic(shared, tenant_b, 2)}
    platforms = set(traffic(shared, policy.tenant, 2))  # type: ignore[arg-type]
    mine = {str(told.row["id"]) for told in sample_of(policy, owners_of(policy))}
    assert len(mine) == 40 and not mine & (others | platforms)
    everybodys = sample_of(shared, owners_of(shared))
    assert {told.tenant for told in everybodys} == {policy.tenant.slug, tenant_b.slug}  # type: ignore[union-attr]
    assert len(everybodys) == 4
    told = page(sign_in(Role.OWNER, tenant_b), theirs, 1)
    assert not [one for one in mine if one in told]
    assert sign_in(Role.OWNER, tenant_b).get(at(policy, 2)).status_code == 404


def test_only_the_newest_are_read(policy: Policy, tenant_a: Tenant) -> None:
    newest = traffic(policy, tenant_a, 5)
    assert {str(told.row["id"]) for told in sample_of(policy, [tenant_a], limit=5)} <= {
        *newest,
        *(str(told.row["id"]) for told in sample_of(policy, [tenant_a])[:5]),
    }
    assert len(sample_of(policy, [tenant_a], limit=5)) == 5


def test_other_traffic_says_how_fast_a_deployment_is(policy: Policy, tenant_a: Tenant) -> None:
    with pytest.raises(NotProven) as first:
        activate_proven(policy=policy, number=2, expected=1)
    assert first.value.proof.report["assumed"] == ["fast"]
    traffic(policy_of(tenant_a, DEAR), tenant_a, 5)
    with pytest.raises(NotProven) as again:
        activate_proven(policy=policy, number=2, expected=1)
    assert again.value.proof.report["assumed"] == []


def test_what_cannot_be_read_is_counted_and_left_out(policy: Policy) -> None:
    DecisionContext.objects.all().delete()
    _, proof = activate_proven(policy=policy, number=2, expected=1)
    assert (proof.sample, proof.verdict, proof.report["unreadable"]) == (0, "undecided", 40)


def test_an_active_version_that_cannot_be_read_keeps_nobody_from_a_better_one(policy: Policy) -> None:
    policy.versions.filter(number=1).update(text="rules: 7")  # as nobody can, but by SQL
    _, proof = activate_proven(policy=policy, number=3, expected=1)
    assert (proof.sample, live(policy)) == (0, 3)


def run(*args: str) -> str:
    out = io.StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def test_the_command_checks_and_compares(policy: Policy) -> None:
    tenant = f"--tenant={policy.tenant.slug}"  # type: ignore[union-attr]
    given = ("replay", f"--policy={policy.slug}", tenant)
    assert "40 of 40 byte-identical" in run(*given)
    told = json.loads(run(*given, "--limit=10", "--since=1h", "--json"))
    assert (told["replayed"], told["identical"], told["differing"]) == (10, 10, [])
    assert "Worse. Cost of a request" in run(*given, "--version=2")
    assert json.loads(run(*given, "--version=3", "--json"))["verdict"] == "better"
    assert "Not enough data. There is nothing to replay" in run(*given, "--version=3", "--since=1s")


def test_the_command_tells_what_differs_and_fails(policy: Policy, tenant_a: Tenant) -> None:
    policy.versions.filter(number=1).update(text=SAVING)  # as nobody can, but by SQL
    DecisionContext.objects.all().delete()
    lost = traffic(policy, tenant_a, 1)
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("replay", f"--policy={policy.slug}", "--tenant=acme", stdout=out)
    assert ended.value.code == 1
    assert "1 of 41 byte-identical" in out.getvalue()
    assert "another plan than the recorded one" in out.getvalue() and lost[0] not in out.getvalue()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--limit=0",), "--limit must be"),
        (("--since=soon",), "--since takes"),
        (("--version=9",), "has no version 9"),
        (("--tenant=globex",), "There is no policy"),
        (("--tenant=nobody",), "There is no tenant"),
    ],
)
def test_what_the_command_cannot_do_is_said(policy: Policy, tenant_b: Tenant, more: Any, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run("replay", f"--policy={policy.slug}", "--tenant=acme", *more)


def test_importing_and_activating_asks_the_replay_too(policy: Policy, tmp_path: Any) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(DEAR + "# again\n")
    given = ("policy_import", str(file), "--tenant=acme", f"--slug={policy.slug}", "--activate")
    with pytest.raises(CommandError, match="v4 is saved but not active"):
        run(*given)
    assert live(policy) == 1
    assert "40 requests replayed: Worse" in run(*given, "--override=Approved by finance")
    assert live(policy) == 4


def test_a_trace_page_says_what_another_version_would_do(sign_in: SignIn, policy: Policy, tenant_b: Tenant) -> None:
    assert policy.tenant is not None
    [pk] = [str(told.row["id"]) for told in sample_of(policy, [policy.tenant], limit=1)]
    client = sign_in(Role.VIEWER)
    assert f"/admin/traces/{pk}/replay" in client.get(f"/admin/traces/{pk}/?tenant=acme").content.decode()
    url = f"/admin/traces/{pk}/replay?tenant=acme"
    told = client.get(f"{url}&version=2").content.decode()
    assert "byte for byte what is recorded" in told
    assert "cheap → fast" in told and "<b>fast → cheap</b>" in told and "a secret question" not in told
    assert "had it stood before <code>fast</code> in the order" in told
    assert "Under <b>v1</b> the plan would be the same" in client.get(url).content.decode()
    assert client.get(f"{url}&version=99").status_code == 404
    assert sign_in(Role.OWNER, tenant_b).get(url.replace("acme", "globex")).status_code == 404


def test_a_trace_without_inputs_or_policy_says_so(sign_in: SignIn, policy: Policy) -> None:
    assert policy.tenant is not None
    client = sign_in(Role.VIEWER)
    old = make_trace(policy.tenant, policy=policy.slug, policy_version=1)
    stray = make_trace(policy.tenant, policy=unique("gone"), policy_version=1)
    for trace, said in ((old, "does not hold the inputs"), (stray, "no longer there")):
        assert said in client.get(f"/admin/traces/{trace.pk}/replay?tenant=acme").content.decode()
    save_draft(policy=policy, text="rules: 7", base=3)
    with tenant_context(policy.tenant):
        [told] = sample_of(policy, [policy.tenant], limit=1)
    url = f"/admin/traces/{told.row['id']}/replay?tenant=acme"
    assert "not a valid policy" in client.get(f"{url}&version=4").content.decode()
    DecisionContext.objects.all().delete()
    assert "cannot be read" in client.get(url).content.decode()
