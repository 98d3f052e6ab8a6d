"""Whatever the policy, request and health: one plan, for reasons that can be read."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.evidence import Evidence
from routing.core.features import Features
from routing.core.plan import (
    DEFAULT_OUTPUT_TOKENS,
    ActivePolicy,
    Candidate,
    Clock,
    ExecutionPlan,
    cost_microusd,
    make_plan,
)
from routing.core.policy import BucketLimit, Hours, PolicyDocument, Rule, Settings, When
from routing.core.request import InvalidRequest
from routing.core.split import Split

NAMES = ["a", "b", "c", "d"]
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
    },
)
DOCUMENTS = st.builds(
    PolicyDocument,
    buckets=st.just({"short": BucketLimit(100, 100), "medium": BucketLimit(500, 500)}),
    profiles=st.just({"precise": {"temperature": 0.2, "top_p": 0.5}, "wild": {"temperature": 1.5}}),
    defaults=st.builds(Settings, max_tokens=st.integers(1, 2000), decoding=st.sampled_from([None, "wild"])),
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
)
CANDIDATES = st.lists(st.sampled_from(NAMES), unique=True).flatmap(
    lambda names: st.tuples(
        *(
            st.builds(
                Candidate,
                st.just(name),
                st.just("p"),
                st.just(f"m-{name}"),
                st.sampled_from([200, 100_000]),
                price_in=st.integers(0, 10**7),
                price_out=st.integers(0, 10**7),
                unavailable=st.sampled_from(["", "", "Switched off."]),
            )
            for name in names
        )
    )
)
HEALTHS = st.dictionaries(
    st.sampled_from(NAMES), st.builds(Evidence, retry_at=st.floats(0, 2000), why=st.just("Failed lately"))
)
ASKED = st.fixed_dictionaries({}, optional={"temperature": st.none() | st.floats(0, 2), "top_p": st.floats(0, 1)})
CLOCKS = MINUTES.filter(lambda minute: minute < 1440).map(lambda minute: Clock(NOW, {"UTC": minute}))


def plan_or_none(document: PolicyDocument, *rest: Any) -> ExecutionPlan | None:
    """None where the request fits no candidate's context, which is the only way to get no plan."""
    try:
        return make_plan(ActivePolicy("p", 3, document), *rest)
    except InvalidRequest as error:
        assert (error.param, error.code) == ("messages", "context_length_exceeded")
        return None


EVERYTHING = st.tuples(DOCUMENTS, FEATURES, ASKED, CANDIDATES, HEALTHS, CLOCKS)


@given(EVERYTHING)
def test_every_request_gets_one_plan_and_the_same_again(case: Any) -> None:
    _, features, asked, *_ = case
    plan = plan_or_none(*case)
    assert plan == plan_or_none(*case)
    if plan is None:
        return
    assert (plan.policy, plan.policy_version) == ("p", 3)
    orjson.dumps([plan.as_json(), plan.reasons])
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
    document, features, asked, candidates, health, clock = case
    plan = plan_or_none(document, features, asked, candidates, health, clock)
    healthy = plan_or_none(document, features, asked, candidates, {}, clock)
    if plan is None or healthy is None:
        assert plan is healthy
        return
    assert plan.signature == healthy.signature
    assert set(plan.attempts) == set(healthy.attempts)
    failing = {name for name, item in health.items() if item.retry_at > clock.now}
    assert list(plan.attempts) == sorted(healthy.attempts, key=lambda item: item.deployment in failing)


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


def plan_with(when: When, *, minute: int = 0, features: Features | None = None, **then: Any) -> ExecutionPlan:
    document = PolicyDocument(
        {"short": BucketLimit(100, 100), "medium": BucketLimit(500, 500)},
        {"precise": {"temperature": 0.2, "top_p": 0.5}},
        Settings(),
        (Rule("it", when, then),),
    )
    candidates = [Candidate("a", "p", "m", 8192), Candidate("b", "p", "m", 8192)]
    features = features or Features("fast", "web", 10, 10)
    return make_plan(ActivePolicy("p", 1, document), features, {}, candidates, {}, Clock(NOW, {"UTC": minute}))


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
    return make_plan(ActivePolicy("p", 1, document), features, {}, candidates, {}, Clock(NOW, {"UTC": 0}))


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
