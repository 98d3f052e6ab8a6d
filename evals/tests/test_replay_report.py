"""What many decisions, made again, come to: predictions, intervals, verdict and the most changed."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core.bootstrap_pairs import difference, interval, mean, p95, relative
from evals.core.plan_differences import differences, reasons_beside
from evals.core.prediction import HIT_MS, Latencies, Predicted, Seen, predicted
from evals.core.replay_cases import APART, Case, Side, side_of
from evals.core.replay_report import report
from routing.core.plan import ActivePolicy
from routing.core.policy import CacheRule, PolicyDocument, Settings
from routing.core.replay import Outcome, decide
from routing.tests.test_replay import CASE

SEEN = Seen("local", 910.0, 900.0, 100, 50, "miss")
LATENCIES = Latencies({"local": [800.0, 900.0, 1000.0, 1100.0], "hosted": [200.0, 300.0, 400.0, 500.0], "none": []})


def outcome(**settings: Any) -> Outcome:
    return decide(CASE._replace(policy=ActivePolicy("p", 1, PolicyDocument({}, {}, Settings(**settings), ()))))


REFUSED = Outcome(None, "It does not fit.")


def test_who_stays_where_it_was_costs_and_takes_the_same() -> None:
    assert predicted(outcome(), SEEN, LATENCIES) == Predicted(0.0, 910.0)


def test_who_moves_keeps_its_tokens_and_its_luck() -> None:
    """Its call was slower than a quarter of its deployment's: so it will be at the other."""
    moved = predicted(outcome(candidates=("hosted",), max_tokens=30), SEEN, LATENCIES)
    assert moved == Predicted(83.0, 310.0)  # 59 + 23.7, rounded up
    unknown = predicted(outcome(candidates=("paid",)), SEEN, LATENCIES)
    assert (unknown.latency_ms, unknown.assumed) == (1_010.0, True)
    from_cache = predicted(outcome(candidates=("hosted",), cache=CacheRule(exact=False)), HIT, LATENCIES)
    assert from_cache == Predicted(99.0, 400.0)


HIT = Seen("local", 3.0, None, 100, 50, "exact")


@pytest.mark.parametrize(
    ("seen", "cache", "hit"),
    [
        (HIT, CacheRule(), True),
        (HIT, CacheRule(exact=False, semantic=True), False),
        (HIT._replace(cache="replay"), CacheRule(exact=False), True),
        (HIT._replace(cache="semantic", similarity=0.95), CacheRule(semantic=True, threshold=0.96), False),
        (SEEN._replace(similarity=0.95), CacheRule(semantic=True, threshold=0.94), True),
        (SEEN._replace(similarity=0.95), CacheRule(semantic=False, threshold=0.94), False),
        (SEEN, CacheRule(semantic=True, threshold=0.5), False),
    ],
)
def test_hits_are_hits_where_the_plan_allows_them(seen: Seen, cache: CacheRule, hit: bool) -> None:
    found = predicted(outcome(cache=cache), seen, LATENCIES)
    assert found.hit == hit
    assert not hit or (found.cost_microusd, found.latency_ms) == (0.0, 3.0 if seen.hit else HIT_MS)


def test_a_new_hit_is_as_fast_as_the_others() -> None:
    known = Latencies({}, [9.0, 2.0, 4.0])
    new = predicted(outcome(cache=CacheRule(semantic=True, threshold=0.9)), SEEN._replace(similarity=1.0), known)
    assert new.latency_ms == 4.0


def test_of_what_nobody_answered_nothing_is_predicted() -> None:
    silent = Seen("", 30.0, None, None, None, "miss")
    assert predicted(outcome(), silent, LATENCIES) == predicted(REFUSED, SEEN, LATENCIES) == Predicted()


# --- many ------------------------------------------------------------------------------------------------------------


def cases(number: int, *, cost: float = 1.0, latency: float = 1.0, spread: float = 0.3, refused: int = 0) -> list[Case]:
    chance = np.random.default_rng(5)
    made = []
    for index in range(number):
        ms, micro = float(chance.lognormal(6, 0.5)), float(chance.lognormal(5, 0.5))
        factor = 1.0 if cost == latency == 1.0 else float(chance.lognormal(0, spread))
        old = side_of(outcome(), SEEN, LATENCIES)._replace(guess=Predicted(micro, ms))
        new = old._replace(guess=Predicted(micro * cost * factor, ms * latency * factor))
        if index < refused:
            new = side_of(REFUSED, SEEN, LATENCIES)
        made.append(Case("acme", f"trace-{index}", "auto", old, new, plans_differ=old != new))
    return made


@pytest.mark.parametrize(
    ("given", "verdict", "why"),
    [
        ({"number": 0}, "undecided", "nothing to replay"),
        ({"number": 300}, "same", "Nothing is worse"),
        ({"number": 300, "cost": 1.3, "spread": 0.05}, "worse", "Cost of a request"),
        ({"number": 300, "latency": 1.5, "spread": 0.05}, "worse", "p95 latency"),
        ({"number": 300, "cost": 0.7, "latency": 0.9, "spread": 0.05}, "better", "p95 latency and Cost of a request"),
        ({"number": 300, "cost": 0.95, "latency": 0.5, "spread": 0.5}, "undecided", "both sides of what is allowed"),
        ({"number": 29, "cost": 0.5, "spread": 0.01}, "undecided", "29 of at least 30"),
        ({"number": 29, "refused": 1}, "worse", "More requests are refused: 0 % → 3.45 %"),
        ({"number": 300, "refused": 300}, "worse", "0 % → 100 %"),
    ],
)
def test_the_verdict(given: dict[str, Any], verdict: str, why: str) -> None:
    found = report(cases(**given))
    assert found["verdict"] == verdict and why in found["why"], found["why"]
    assert found["sample"] == given["number"]


def test_a_gate_may_allow_more_or_less() -> None:
    dearer = cases(number=300, cost=1.3, spread=0.05)
    assert report(dearer, {"cost": 40.0})["verdict"] == "same"
    faster = cases(number=300, latency=1.05, spread=0.01)
    assert [report(faster, bounds)["verdict"] for bounds in ({}, {"p95": 2.0})] == ["same", "worse"]


def test_what_was_free_and_is_no_longer_is_worse() -> None:
    paid = [
        case._replace(
            old=case.old._replace(guess=Predicted(0.0, 10.0)), new=case.new._replace(guess=Predicted(5.0, 10.0))
        )
        for case in cases(50)
    ]
    found = report(paid)
    assert (found["verdict"], found["why"]) == ("worse", "Cost of a request is no longer 0.")
    assert next(one for one in found["measures"] if one["name"] == "cost")["low"] is None


def test_nothing_is_predicted_nothing_is_decided() -> None:
    silent = Side(dict.fromkeys(APART, "x"), Predicted(), refused=False)
    found = report([Case("acme", str(number), "auto", silent, silent, plans_differ=False) for number in range(40)])
    assert found["verdict"] == "undecided"
    assert [one["name"] for one in found["measures"]] == ["refused", "hits"]


def test_the_most_changed_come_first_with_words() -> None:
    old = side_of(outcome(), SEEN, LATENCIES)
    slight = side_of(outcome(lane="long"), SEEN, LATENCIES)
    much = side_of(outcome(candidates=("paid",), lane="long", cache=CacheRule(exact=False)), SEEN, LATENCIES)
    sides = (old, slight, much, side_of(REFUSED, SEEN, LATENCIES))
    found = report([Case("acme", str(number), "auto", old, new, old != new) for number, new in enumerate(sides)])
    assert [one["trace"] for one in found["most_changed"]] == ["3", "2", "1"]
    assert found["most_changed"][2]["changes"] == ["Lane: short → long"]
    assert found["most_changed"][1]["changes"] == [
        "Provider: ollama → openai",
        "First candidate: local → paid",
        "Cache: exact → off",
        "Lane: short → long",
        "Cost: $0 → $0.0008",
        "Latency: 910 ms → 1.01 s",
    ]
    assert found["assumed"] == ["paid"]
    assert (found["identical"], found["moves"][0]["changed"]) == (1, 3)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=40))
def test_an_interval_is_in_order_and_the_same_every_time(values: list[tuple[float, float]]) -> None:
    pairs = np.array(values)
    for statistic, compare in ((mean, relative), (p95, relative), (mean, difference)):
        found = interval(pairs, statistic, compare, seed=1)
        assert found.low <= found.high
        assert found == interval(pairs, statistic, compare, seed=1)
    alike = interval(np.array([[old, old] for old, _ in values]), mean, relative, seed=1)
    assert alike == (0.0, 0.0, 0.0)


# --- one, side by side -------------------------------------------------------------------------------------------


def test_two_plans_fact_by_fact() -> None:
    one, other = outcome().plan, outcome(lane="long", temperature=0.5, candidates=()).plan
    assert one is not None and other is not None
    recorded = {**one.as_json(), "cache": {"exact": True, "semantic": False, "threshold": 0.92}}
    rows = {row.what: row for row in differences(recorded, other.as_json())}
    assert {what for what, row in rows.items() if row.changed} == {"Lane", "Parameters", "Asked in order"}
    assert rows["Asked in order"].new == "nobody"
    assert {row.old for row in differences({}, other.as_json())} == {"–"}


def test_reasons_are_told_once() -> None:
    route = {"step": "route", "subject": "auto", "outcome": "chosen", "why": "By its path."}
    both = {"step": "bucket", "subject": "short", "outcome": "chosen", "why": "Small."}
    gone, new = ({**both, "step": "rule", "subject": name} for name in ("a", "b"))
    told = reasons_beside([route, both, gone], [both, new])
    assert [(one.side, one.step) for one in told] == [("both", "bucket"), ("new", "rule"), ("old", "rule")]
