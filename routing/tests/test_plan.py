"""Whatever the policy, request and health: one plan, for reasons that can be read."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.evidence import NOTHING_KNOWN, Evidence
from routing.core.features import Features
from routing.core.plan import (
    DEFAULT_OUTPUT_TOKENS,
    ActivePolicy,
    Candidate,
    ExecutionPlan,
    Surroundings,
    cost_microusd,
    make_plan,
)
from routing.core.policy import BucketLimit, Canary, Hours, PolicyDocument, Rule, Settings, When
from routing.core.request import InvalidRequest
from routing.core.split import Split
from routing.core.strategies import STRATEGIES, resting
from routing.core.tasks import TASKS
from routing.tests.cases import CANDIDATES, ENVIRONMENTS, EVIDENCES, NAMES

MODELS, KEYS = ["fast", "smart"], ["web", "batch"]
NOW = 1000.0


def some(values: list[str]) -> st.SearchStrategy[tuple[str, ...] | None]:
    return st.none() | st.lists(st.sampled_from(values), min_size=1, unique=True).map(tuple)


MINUTES = st.integers(0, 1440)
WHENS = st.builds(
    When,
    bucket=some(["short", "medium", "long"]),
    model=some(MODELS),
    key=some(KEYS),
    metadata=st.dictionaries(st.just("job"), st.sampled_from(["x", "y"])),
    hours=st.none() | st.builds(Hours, MINUTES, MINUTES, st.just("UTC")),
    task=some(list(TASKS)),
)
THENS = st.fixed_dictionaries(
    {},
    optional={
        "tier": st.sampled_from(["fast", "best"]),
        "lane": st.sampled_from(["short", "long"]),
        "decoding": st.sampled_from(["precise", "wild"]),
        "max_tokens": st.integers(1, 2000),
        "temperature": st.floats(0, 2),
        "cache": st.fixed_dictionaries({}, optional={"exact": st.booleans(), "ttl_s": st.integers(1, 9)}),
        "candidates": st.lists(st.sampled_from([*NAMES, "unknown"]), min_size=1, unique=True).map(tuple),
        "strategy": st.sampled_from(sorted(STRATEGIES)),
        "weights": st.fixed_dictionaries({}, optional={"cost": st.floats(1, 100)}),
        "task": st.sampled_from(TASKS),
    },
)
DOCUMENTS = st.builds(
    PolicyDocument,
    buckets=st.just({"short": BucketLimit(100, 100), "medium": BucketLimit(500, 500)}),
    profiles=st.just({"precise": {"temperature": 0.2, "top_p": 0.5}, "wild": {"temperature": 1.5}}),
    defaults=st.builds(
        Settings,
        max_tokens=st.integers(1, 2000),
        decoding=st.sampled_from([None, "wild"]),
        strategy=st.sampled_from(sorted(STRATEGIES)),
        canary=st.just(Canary("a", 50)),
    ),
    rules=st.lists(WHENS, max_size=4).flatmap(
        lambda whens: st.tuples(
            *(st.builds(Rule, st.just(f"r{i}"), st.just(when), THENS) for i, when in enumerate(whens))
        )
    ),
)
FEATURES = st.builds(
    Features,
    model=st.sampled_from(MODELS),
    key=st.sampled_from(KEYS),
    input_tokens=st.integers(1, 3000),
    output_tokens=st.none() | st.integers(1, 5000),
    metadata=st.dictionaries(st.just("job"), st.sampled_from(["x", "y"])),
    task=st.sampled_from(TASKS),
    task_why=st.sampled_from(["", "The request's metadata says so."]),
)
ASKED = st.fixed_dictionaries({}, optional={"temperature": st.none() | st.floats(0, 2), "top_p": st.floats(0, 1)})
AROUND = st.builds(
    Surroundings,
    now=st.just(NOW),
    minute_of_day=st.integers(0, 1439).map(lambda minute: {"UTC": minute}),
    environment=st.sampled_from(ENVIRONMENTS),
    draw=st.floats(0, 1, exclude_max=True),
)


def plan_or_none(document: PolicyDocument, *rest: Any) -> ExecutionPlan | None:
    """None where the request fits no candidate's context, which is the only way to get no plan."""
    try:
        return make_plan(ActivePolicy("p", 3, document), *rest)
    except InvalidRequest as error:
        assert (error.param, error.code) == ("messages", "context_length_exceeded")
        return None


EVERYTHING = st.tuples(DOCUMENTS, FEATURES, ASKED, CANDIDATES, EVIDENCES, AROUND)


@given(EVERYTHING)
def test_every_request_gets_one_plan_and_the_same_again(case: Any) -> None:
    _, features, asked, *_ = case
    plan = plan_or_none(*case)
    assert plan == plan_or_none(*case)
    if plan is None:
        return
    assert (plan.policy, plan.policy_version) == ("p", 3)
    orjson.dumps([plan.as_json(), plan.decision_trace()])
    if features.output_tokens is not None:
        assert plan.max_tokens <= features.output_tokens
    assert not {name for name, value in asked.items() if value is not None} & plan.params.keys()

    usable = [item for item in plan.candidates if item.verdict != "ruled out"]
    assert plan.attempts == tuple(item.candidate for item in usable)
    assert [item.position for item in usable] == list(range(1, len(usable) + 1))
    assert [item.verdict for item in usable] == ["first", *["next"] * (len(usable) - 1)][: len(usable)]
    for attempt in plan.attempts:
        assert not attempt.unavailable
        assert attempt.context_window > features.input_tokens


@given(EVERYTHING)
def test_health_changes_only_the_order_and_never_what_an_answer_depends_on(case: Any) -> None:
    document, features, asked, candidates, evidence, around = case
    plan = plan_or_none(*case)
    healthy = plan_or_none(document, features, asked, candidates, {}, around)
    if plan is None or healthy is None:
        assert plan is healthy
        return
    assert (plan.signature, plan.arm) == (healthy.signature, healthy.arm)
    assert set(plan.attempts) == set(healthy.attempts)
    rest = [bool(resting(evidence.get(item.deployment, NOTHING_KNOWN), around.now)) for item in plan.attempts]
    assert rest == sorted(rest)
    if plan.strategy in ("ordered", "cheapest", "weighted", "canary"):
        resters = {item.deployment for item, rests in zip(plan.attempts, rest, strict=True) if rests}
        assert list(plan.attempts) == sorted(healthy.attempts, key=lambda item: item.deployment in resters)


@given(EVERYTHING, st.floats(0, 1, exclude_max=True))
def test_a_draw_counts_for_the_cache_only_by_the_arm_that_it_chose(case: Any, draw: float) -> None:
    *rest, around = case
    plan, other = plan_or_none(*case), plan_or_none(*rest, replace(around, draw=draw))
    if plan is None or other is None:
        assert plan is other
        return
    assert (plan.signature == other.signature) is (plan.arm == other.arm)
    assert bool(plan.arm) <= (plan.strategy in ("weighted", "canary"))


@given(EVERYTHING)
def test_the_first_matching_rule_wins_and_those_before_it_say_why_not(case: Any) -> None:
    document = case[0]
    plan = plan_or_none(*case)
    if plan is None:
        return
    told = [reason for reason in plan.reasons if reason.step == "rule"]
    assert [reason.outcome for reason in told] == [*["passed over"] * (len(told) - 1), "matched"]
    assert all(reason.why for reason in told)
    if plan.rule is None:
        assert len(told) == len(document.rules) + 1
        return
    index = [rule.name for rule in document.rules].index(plan.rule)
    assert len(told) == index + 1
    alone = plan_or_none(replace(document, rules=document.rules[index:]), *case[1:])
    assert alone is not None
    assert replace(alone, reasons=()) == replace(plan, reasons=())
    without = plan_or_none(replace(document, rules=document.rules[:index]), *case[1:])
    assert without is None or without.rule is None


KNOWN = {"a": Evidence(samples=80, p95_ms=700.0)}


def plan_with(when: When, *, minute: int = 0, features: Features | None = None, **then: Any) -> ExecutionPlan:
    document = PolicyDocument(
        {"short": BucketLimit(100, 100), "medium": BucketLimit(500, 500)},
        {"precise": {"temperature": 0.2, "top_p": 0.5}},
        Settings(),
        (Rule("it", when, then),),
    )
    candidates = [Candidate("a", "p", "m", 8192), Candidate("b", "p", "m", 8192, price_in=1_000_000)]
    features = features or Features("fast", "web", 10, 10)
    return make_plan(
        ActivePolicy("p", 1, document), features, {}, candidates, KNOWN, Surroundings(NOW, {"UTC": minute})
    )


@pytest.mark.parametrize(
    ("start", "end", "minute", "inside"),
    [
        (540, 1020, 540, True),
        (540, 1020, 1019, True),
        (540, 1020, 1020, False),
        (540, 1020, 539, False),
        (1320, 360, 1320, True),
        (1320, 360, 0, True),
        (1320, 360, 359, True),
        (1320, 360, 360, False),
        (1320, 360, 1319, False),
        (0, 1440, 1439, True),
    ],
)
def test_hours_may_run_over_midnight(start: int, end: int, minute: int, inside: bool) -> None:
    plan = plan_with(When(hours=Hours(start, end)), minute=minute)
    assert (plan.rule == "it") is inside


@pytest.mark.parametrize(
    ("when", "why"),
    [
        (When(bucket=("medium", "long")), "Bucket is short, not medium or long."),
        (When(model=("smart",)), "Model is fast, not smart."),
        (When(key=("batch",)), "Key is web, not batch."),
        (When(task=("coding", "speed")), "Task is chat, not coding or speed."),
        (When(metadata={"job": "x"}), "Metadata job is not set, not x."),
        (When(hours=Hours(1320, 360)), "It is not between 22:00 and 06:00 (UTC)."),
    ],
)
def test_a_rule_that_is_passed_over_says_what_did_not_hold(when: When, why: str) -> None:
    plan = plan_with(when, minute=720)
    assert plan.rule is None
    assert why in {reason.why for reason in plan.reasons}


@pytest.mark.parametrize(
    ("tokens_in", "tokens_out", "bucket"),
    [(100, 100, "short"), (101, 100, "medium"), (100, 101, "medium"), (1, None, "medium"), (501, 1, "long")],
)
def test_the_bucket_is_the_first_that_holds_both_sizes(tokens_in: int, tokens_out: int | None, bucket: str) -> None:
    assert 100 < DEFAULT_OUTPUT_TOKENS < 500
    assert plan_with(When(), features=Features("fast", "web", tokens_in, tokens_out)).bucket == bucket


def test_the_policys_order_of_candidates_stands_before_the_routes() -> None:
    plan = plan_with(When(), candidates=("b", "elsewhere", "a"))
    assert [item.deployment for item in plan.attempts] == ["b", "a"]
    assert plan.signature != plan_with(When()).signature


def test_whatever_changes_an_answer_changes_the_signature() -> None:
    signatures = {
        plan_with(When(), **then).signature
        for then in (
            {},
            {"tier": "best"},
            {"max_tokens": 5},
            {"decoding": "precise"},
            {"temperature": 0.5},
            {"lane": "long"},
        )
    }
    assert len(signatures) == 5  # all but the lane's


def test_the_recorded_plan_holds_the_table_of_candidates_and_factors() -> None:
    plan = plan_with(When(), strategy="scored", task="coding", weights={"cost": 60.0})
    told = orjson.loads(orjson.dumps(plan.as_json()))
    assert (told["strategy"], told["task"], told["environment"], told["arm"]) == (
        "scored",
        "coding",
        "production",
        None,
    )
    assert told["weights"] == {"cost": 60, "quota": 20, "health": 30, "latency": 10, "task": 15, "environment": 20}
    first, second = told["candidates"]
    assert first["factors"] == {
        "cost": 60, "quota": 20, "health": 30, "latency": 7.41, "task": 7.5, "environment": 10, "total": 134.91,
    }  # fmt: skip
    assert (first["why"], first["within_limits"], first["p95_ms"]) == ("134.9 points.", True, 700)
    assert first["facts"] == {
        "price": 0, "quota_left": 1, "errors": 0, "latency_ms": 700, "strength": 0.5, "preference": 0.5,
        "measured": True,
    }  # fmt: skip
    assert second["factors"]["cost"] == 40 and second["facts"]["measured"] is False
    reasons = {(one["step"], one["subject"]): one["why"] for one in plan.decision_trace()}
    assert reasons["task", "coding"] == "The policy says so."
    assert reasons["candidate", "b"].endswith(" points.")


def test_what_is_not_scored_has_no_factors() -> None:
    told = plan_with(When()).as_json()
    assert told["weights"] is None
    assert not any("factors" in candidate for candidate in told["candidates"])


def test_an_arm_tells_its_draw_and_keeps_a_cache_of_its_own() -> None:
    plan = plan_with(When(), strategy="canary", canary=Canary("b", 5.0))
    assert (plan.arm, [item.deployment for item in plan.attempts]) == ("b", ["b", "a"])
    assert "Drawn 0.0 of 100; the canary b takes those under 5." in {reason.why for reason in plan.reasons}
    assert plan.signature != plan_with(When()).signature


def test_a_request_that_fits_no_context_is_the_clients_to_mend_unless_what_holds_it_is_only_switched_off() -> None:
    small, off = Candidate("a", "p", "m", 100), Candidate("b", "p", "m", 9000, unavailable="It is switched off.")
    policy = ActivePolicy("p", 1, PolicyDocument({}, {}, Settings(), ()))
    large, around = Features("fast", "web", 200, 10), Surroundings(NOW, {"UTC": 0})
    with pytest.raises(InvalidRequest, match="context of 100 tokens"):
        make_plan(policy, large, {}, [small], {}, around)
    with pytest.raises(InvalidRequest, match="context of 150 tokens"):
        make_plan(policy, large, {}, [small, replace(off, context_window=150)], {}, around)
    assert make_plan(policy, large, {}, [replace(off, context_window=150)], {}, around).attempts == ()
    plan = make_plan(policy, large, {}, [small, off], {}, around)
    assert plan.attempts == () and [item.verdict for item in plan.candidates] == ["ruled out", "ruled out"]


def test_a_price_is_rounded_up() -> None:
    candidate = Candidate("a", "p", "m", 8192, price_in=150_000, price_out=600_000)
    assert cost_microusd(candidate, 1, 0) == 1
    assert cost_microusd(candidate, 1000, 1000) == 750
    assert cost_microusd(replace(candidate, price_in=0, price_out=0), 10**6, 10**6) == 0


def _split(arm: str, order: tuple[str, ...] | None = None, output: int | None = None) -> ExecutionPlan:
    document = PolicyDocument(
        buckets={},
        profiles={"precise": {"temperature": 0.2}},
        defaults=Settings(candidates=order, decoding="precise"),
        rules=(),
    )
    split = Split({"a": 70, "b": 30}, "key", 0.5, arm) if arm else None
    features = Features("m", "web", 10, output, split=split)
    candidates = [Candidate(name, "p", name, 8192) for name in ("a", "b", "c")]
    return make_plan(ActivePolicy("p", 1, document), features, {}, candidates, {}, Surroundings(NOW, {"UTC": 0}))


@pytest.mark.parametrize("order", [None, ("c", "b", "a")])
def test_the_arm_of_a_split_is_asked_first_whatever_orders_the_others(order: tuple[str, ...] | None) -> None:
    plain, plan = _split("", order), _split("b", order)
    others = [item for item in plain.attempts if item.deployment != "b"]
    assert [item.deployment for item in plan.attempts] == ["b", *(item.deployment for item in others)]
    assert (plain.arm, plan.arm) == ("", "b")
    assert "Split 70/30, by key: a draw of 0.500 is the arm b." in [reason.why for reason in plan.reasons]


def test_arms_never_share_a_cached_answer() -> None:
    """Nor does an arm share it with a route that asks the same deployments in the same order without a split."""
    assert len({_split("a").signature, _split("b").signature, _split("").signature}) == 3


def test_an_arm_that_the_policy_does_not_name_is_passed_over() -> None:
    plan = _split("a", ("c", "b"))
    assert [item.deployment for item in plan.attempts] == ["c", "b"]
    assert [reason.outcome for reason in plan.reasons if reason.step == "split"] == ["passed over"]


def test_where_nothing_is_generated_no_decoding_is_applied() -> None:
    assert _split("", output=0).params == {} and _split("", output=1).params == {"temperature": 0.2}
