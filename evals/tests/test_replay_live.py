"""What live requests record is enough to make their decisions again, byte for byte. Each case through both shells."""

from typing import Any

import httpx
from django_tenants.utils import tenant_context

from evals.models import GateRule
from evals.replays import Told, bounds_of, compare, differing, owners_of, sample_of, version_of
from routing.canaries import start_canary
from routing.models import Policy
from routing.services import save_draft
from routing.tests.stage import BUCKETS, NO_CACHE, Stage
from routing.tests.upstream import embeds, says
from tenants.models import Tenant

SCORED = BUCKETS + (
    "profiles: {precise: {temperature: 0.2, top_p: 0.9}}\n"
    "defaults: {lane: short, max_tokens: 64, decoding: precise, strategy: scored, cache: {exact: false}}\n"
    "rules:\n"
    '  - {name: night, when: {hours: {from: "00:00", to: "23:59", timezone: Asia/Kolkata}}, then: {tier: fast}}\n'
)


def replayed(stage: Stage, model: str, answers: list[httpx.Response]) -> list[Told]:
    """The traces of these answers, each of which must give the same plan again."""
    ids = {str(stage.trace(answer).pk) for answer in answers}
    policy = Policy.objects.get(slug=model)
    sample = sample_of(policy, owners_of(policy))
    assert {str(told.row["id"]) for told in sample} == ids
    assert [(told.row["id"], why) for told, why in differing(policy, sample)] == []
    return sample


def test_chat(stage: Stage) -> None:
    model = stage.route(says("one"), says("two"), policy=SCORED)
    asked: list[dict[str, Any]] = [{}, {"temperature": 1.0, "max_tokens": 900}, {"metadata": {"job": "x\\u0000ü"}}]
    both = (stage.shells.express, stage.shells.drf)
    answers = [stage.ask(base, model, **more) for base in both for more in asked]
    assert [answer.status_code for answer in answers] == [200] * 6
    sample = replayed(stage, model, answers)
    assert all(told.row["inputs_json"]["own"] for told in sample)
    assert [told.row["inputs_json"].get("asked") for told in sample].count(["temperature"]) == 2
    assert all(told.row["inputs_json"]["minutes"].keys() == {"Asia/Kolkata"} for told in sample)


def test_a_strategy_that_the_client_named(base: str, stage: Stage) -> None:
    model = stage.route(says("one"), says("two"), policy=SCORED)
    named = ("cheapest", "weighted", f"{model}@1")
    replayed(stage, model, [stage.ask(base, model, headers={"x-relay-policy": name}) for name in named])


def test_a_split(base: str, stage: Stage) -> None:
    model = stage.route(says("one"), says("two"), shares=(70, 30))
    replayed(stage, model, [stage.ask(base, model, f"hello {number}") for number in range(4)])


def test_both_sides_of_a_canary(base: str, stage: Stage) -> None:
    model = stage.route(says("one"))
    policy = Policy.objects.get(slug=model)
    save_draft(policy=policy, text=SCORED, base=1)
    start_canary(route=policy.routes.get(), candidate=policy.versions.get(number=2), stages=[50], sticky="none")
    sides = {f"{model}@1", f"{model}@2"}
    seen: set[str] = set()
    while seen != sides:  # each request goes by a draw of its own
        answer = stage.ask(base, model)
        seen.add(answer.headers["x-relay-policy"])
    stage.trace(answer)
    sample = sample_of(policy, owners_of(policy))
    assert {told.row["policy_version"] for told in sample} == {1, 2}
    assert list(differing(policy, sample)) == []


def test_infer_and_embeddings(base: str, stage: Stage) -> None:
    model = stage.route(says("one"))
    answer = stage.post(base, "infer", model=model, prompt="hello")
    assert answer.status_code == 200
    replayed(stage, model, [answer])
    model = stage.route(embeds([0.1, 0.2]), serves="embeddings")
    answer = stage.post(base, "embeddings", model=model, input="a")
    assert answer.status_code == 200
    replayed(stage, model, [answer])


def test_the_tenants_gate_says_how_much_worse_a_version_may_be(stage: Stage) -> None:
    policy = Policy.objects.get(slug=stage.route(says("one")))
    assert bounds_of(policy) == {"p95": 10, "cost": 5}
    with tenant_context(stage.tenant):
        rule = GateRule.objects.filter(gate__slug="default", metric="cost")
        rule.update(bound=50)
        try:
            assert bounds_of(policy) == {"p95": 10, "cost": 50}
            assert bounds_of(Policy.objects.get(slug="demo", tenant=None)) == {}, "no tenant's gate rules the platform"
        finally:
            rule.update(bound=5)


def test_a_refusal_and_a_tenant_that_keeps_no_content(base: str, stage: Stage, tenant_c: Tenant) -> None:
    """A version that lets fewer through is worse; prompts are not needed to know that."""
    model = stage.route(says("one"), tenant=tenant_c, context_window=200)
    key = stage.key(tenant_c)
    fits, too_long = stage.ask(base, model, key=key), stage.ask(base, model, "word " * 400, key=key)
    assert (fits.status_code, too_long.status_code) == (200, 400)
    policy = Policy.objects.get(slug=model)
    for answer in (fits, too_long):
        assert stage.trace(answer, tenant_c).request_json is None
    sample = sample_of(policy, owners_of(policy))
    assert list(differing(policy, sample)) == []
    draft = save_draft(policy=policy, text=NO_CACHE + "  # the same", base=1)
    found = compare(sample, version_of(policy.versions.get(number=1)), version_of(draft))
    assert found["sample"] == found["identical"] == 2
    refused = next(one for one in found["measures"] if one["name"] == "refused")
    assert (refused["old"], refused["change"]) == (0.5, 0.0)
