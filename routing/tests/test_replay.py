"""A decision is made again from what its trace keeps: as it was, byte for byte, or under another version."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.candidate import Candidate
from routing.core.defaulting import with_default
from routing.core.evidence import Burn, Evidence
from routing.core.features import Features
from routing.core.lineup import (
    candidates_in,
    default_in,
    digest_of,
    document_of,
    document_of_default,
    lineup_of,
)
from routing.core.plan import ActivePolicy, Surroundings
from routing.core.policy import BucketLimit, Canary, Hours, PolicyDocument, Rule, Settings, Weights, When
from routing.core.recording import Decision, inputs_of
from routing.core.replay import Contexts, NotRecorded, Recorded, Replayer, Version, decide, is_as_recorded
from routing.core.split import Split
from routing.core.trial import trial_of
from routing.planning import minutes_of_day
from routing.tests.cases import CANDIDATES, ENVIRONMENTS, EVIDENCES, NAMES
from routing.tests.test_plan import ASKED, DOCUMENTS, FEATURES

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"])
DEFAULTS = st.builds(
    Settings,
    strategy=st.sampled_from(["scored", "cheapest", "canary"]),
    weights=st.builds(Weights, cost=st.floats(0, 100)),
    canary=st.none() | st.just(Canary("b", 30)),
)


@st.composite
def decisions(draw: Any) -> tuple[Decision, Settings | None, PolicyDocument]:
    """Anything that a request may be planned on, the default strategy of its time, and the policy as written."""
    document = draw(DOCUMENTS)
    zone = draw(ZONES)
    rules = tuple(
        replace(rule, when=replace(rule.when, hours=rule.when.hours and replace(rule.when.hours, timezone=zone)))
        for rule in document.rules
    )
    document, default = replace(document, rules=rules), draw(st.none() | DEFAULTS)
    merged = with_default(document, default) if default else document
    policy = ActivePolicy("p", draw(st.integers(1, 9)), merged, own=draw(st.booleans()))
    if strategy := draw(st.sampled_from(["", "cheapest", "weighted"])):
        policy = policy.with_strategy(strategy)
    shares = dict.fromkeys(draw(st.permutations(NAMES)), 10)
    sides = {
        "split": draw(st.none() | st.just(Split(shares, "key", 0.25, next(iter(shares))))),
        "trial": draw(st.none() | st.integers(0, 9).map(_trial)),
    }
    now = draw(st.floats(1.7e9, 1.9e9))
    around = Surroundings(
        now,
        minutes_of_day(int(now // 60), ("UTC", zone)),
        draw(st.sampled_from(ENVIRONMENTS)),
        draw(st.floats(0, 1, exclude_max=True)),
    )
    features = replace(draw(FEATURES), **sides)
    lineup = lineup_of(draw(CANDIDATES))
    told = digest_of(document_of_default(default)) if default else ""
    return Decision(policy, features, draw(ASKED), lineup, draw(EVIDENCES), around, told), default, document


def _trial(number: int) -> Any:
    return trial_of(1, name="b", deployment="b", share=50, sticky="key", identity=str(number))


def stored(given: Decision) -> Recorded:
    """As it comes back from the database, where objects lose the order of their keys."""
    outcome = decide(given)
    inputs: dict[str, Any] = inputs_of(given)
    if outcome.plan is None:
        inputs["features"] = given.features
    before = [{"step": "route", "subject": "auto", "outcome": "chosen", "why": "By its path."}]
    after = [{"step": "cache", "subject": "exact", "outcome": "miss", "why": "Nobody asked this before."}]
    reasons = outcome.plan.decision_trace() if outcome.plan else []
    told = [inputs, outcome.plan and outcome.plan.as_json(), before + reasons + after]
    return Recorded(*orjson.loads(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)))


def contexts(given: Decision, default: Settings | None = None) -> Contexts:
    documents = {given.lineup.digest: document_of(given.lineup.candidates)}
    if default is not None:
        documents[given.default] = document_of_default(default)
    return Contexts(orjson.loads(orjson.dumps(documents, option=orjson.OPT_SORT_KEYS)))


@given(decisions())
def test_what_is_recorded_gives_the_same_plan_byte_for_byte(
    case: tuple[Decision, Settings | None, PolicyDocument],
) -> None:
    given, default, document = case
    recorded, replayer = stored(given), Replayer(contexts(given, default), minutes_of_day)
    version = Version("p", given.policy.version, document, own=given.policy.own)
    for _ in range(2):  # what the replayer has kept by the second time is as good
        again = replayer.decision(recorded, version)
        assert is_as_recorded(recorded, decide(again))
    assert (again.policy.own, again.around.environment) == (given.policy.own, given.around.environment)


@given(decisions(), DOCUMENTS)
def test_another_version_sees_the_same_request(
    case: tuple[Decision, Settings | None, PolicyDocument], other: PolicyDocument
) -> None:
    given, default, _ = case
    again = Replayer(contexts(given, default), minutes_of_day).decision(stored(given), Version("p", 99, other))
    assert again.features == given.features
    assert again.policy.version == 99
    assert again.evidence == {
        one.circuit: given.evidence[one.circuit]
        for one in given.lineup.candidates
        if given.evidence.get(one.circuit, Evidence()) != Evidence()
    }


CASE = Decision(
    ActivePolicy("p", 1, PolicyDocument({"short": BucketLimit(100, 100)}, {}, Settings(), ())),
    Features("auto", "web", 20, None),
    {},
    lineup_of(
        [
            Candidate("local", "ollama", "small", 8_000, environments=("development",), strengths={"chat": 0.5}),
            Candidate("hosted", "groq", "large", 128_000, 590_000, 790_000),
            Candidate("paid", "openai", "largest", 128_000, 2_500_000, 10_000_000),
        ]
    ),
    {
        "local": Evidence(120, 0.0, 812.4, Burn(m5=0.0)),
        "hosted": Evidence(80, 0.0125, 431.0, Burn(1.25, 1.25, 1.25, 0.9), quota_left=0.4),
    },
    Surroundings(1_795_000_000.123456, {"UTC": 0}, "development", 0.7316),
)


def test_it_is_small_and_leaves_out_what_is_as_usual() -> None:
    inputs = inputs_of(CASE)
    assert len(orjson.dumps(inputs)) < 400
    assert inputs.keys() == {"at", "draw", "environment", "lineup", "evidence"}
    assert inputs["evidence"].keys() == {"local", "hosted"}


def test_a_refusal_is_recorded_too() -> None:
    given = CASE._replace(features=replace(CASE.features, input_tokens=500_000))
    recorded = stored(given)
    replayer = Replayer(contexts(given), minutes_of_day)
    outcome = decide(replayer.decision(recorded, Version("p", 1, CASE.policy.document)))
    assert recorded.plan is None and is_as_recorded(recorded, outcome)
    assert "do not fit" in outcome.refused and outcome.first is None


def test_a_plan_without_anybody_to_ask_has_no_first() -> None:
    gone = replace(CASE.lineup.candidates[0], unavailable="It is switched off.")
    outcome = decide(CASE._replace(lineup=lineup_of([gone])))
    assert outcome.plan is not None and outcome.first is None
    assert decide(CASE).first == CASE.lineup.candidates[0]


def test_what_was_decided_otherwise_is_told_from_what_was_not() -> None:
    recorded, replayer = stored(CASE), Replayer(contexts(CASE), minutes_of_day)
    cheapest = replace(CASE.policy.document, defaults=Settings(strategy="cheapest"))
    outcome = decide(replayer.decision(recorded, Version("p", 1, cheapest)))
    assert not is_as_recorded(recorded, outcome)
    assert not is_as_recorded(recorded._replace(plan=None), outcome)
    as_it_was = decide(replayer.decision(recorded, Version("p", 1, CASE.policy.document, own=True)))
    assert not is_as_recorded(recorded._replace(reasons=[]), as_it_was)


def test_hours_in_a_zone_go_by_the_clock_of_that_moment() -> None:
    """What was recorded stands before what today's time zone data say; zones that nobody recorded come from those."""
    at_night = When(hours=Hours(0, 60, "Europe/Berlin"))
    document = replace(CASE.policy.document, rules=(Rule("night", at_night, {"lane": "long"}),))
    given = CASE._replace(
        policy=ActivePolicy("p", 1, document),
        around=replace(CASE.around, minute_of_day={"UTC": 0, "Europe/Berlin": 30, "Asia/Kolkata": 330}),
    )
    recorded, replayer = stored(given), Replayer(contexts(given), minutes_of_day)
    assert recorded.inputs["minutes"] == {"Europe/Berlin": 30}
    assert decide(replayer.decision(recorded, Version("p", 1, document))).plan.rule == "night"  # type: ignore[union-attr]
    unsaid = stored(CASE)
    assert decide(replayer.decision(unsaid, Version("p", 1, document))).plan.lane == "short"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"at": "noon"},
        {"lineup": "gone"},
        {"lineup": None},
        {"evidence": {"local": {"samples": 1, "mood": 2}}},
        {"evidence": []},
        {"default": "gone"},
        {"strategy": 7},
        {"minutes": 7},
    ],
)
def test_what_cannot_be_read_is_said(damaged: dict[str, Any]) -> None:
    recorded = stored(CASE)
    recorded = recorded._replace(inputs={**recorded.inputs, **damaged} if damaged else {})
    with pytest.raises(NotRecorded, match="cannot be read"):
        decide(Replayer(contexts(CASE), minutes_of_day).decision(recorded, Version("p", 1, CASE.policy.document)))


def test_a_document_of_one_kind_is_none_of_the_other() -> None:
    with pytest.raises(KeyError):
        default_in(document_of(CASE.lineup.candidates))
    with pytest.raises(KeyError):
        candidates_in(document_of_default(Settings()))


def test_what_the_planner_does_not_see_is_not_in_the_digest() -> None:
    more = [replace(item, capacity=99, neurons_in=3) for item in CASE.lineup.candidates]
    assert lineup_of(more).digest == CASE.lineup.digest
    assert lineup_of(more[::-1]).digest != CASE.lineup.digest
