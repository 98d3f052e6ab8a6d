"""The change that a trace names flips the choice; one that is clearly smaller does not."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from routing.core.policy import Weights
from routing.core.scoring import Facts, points_of
from routing.core.what_if import WEIGHTS as NAMES_OF_WEIGHTS
from routing.core.what_if import Change, Entry, changes
from routing.core.what_if_words import in_words, sentences
from routing.tests.cases import SHARES, WEIGHTS

FACTS = st.builds(
    Facts,
    price=st.integers(0, 20_000_000),
    quota_left=SHARES,
    errors=SHARES,
    latency_ms=st.floats(1, 60_000),
    strength=SHARES,
    preference=SHARES,
    measured=st.booleans(),
)
MANY_FACTS = st.lists(FACTS, min_size=2, max_size=5)


def total(entry: Entry, weights: Weights) -> float:
    return points_of(entry.facts, weights).total


def planned(facts: Sequence[Facts], weights: Weights) -> list[Entry]:
    """As a plan orders them."""
    entries = [Entry(name, one) for name, one in zip("abcde", facts, strict=False)]
    return sorted(entries, key=lambda entry: -total(entry, weights))


def lead(change: Change, value: float, entries: Sequence[Entry], weights: Weights) -> float:
    """How many points the changed candidate is ahead of the best of the others."""
    if change.what in NAMES_OF_WEIGHTS:
        weights = replace(weights, **{change.what: value})
    changed = {entry.deployment: entry for entry in entries}
    if change.what not in NAMES_OF_WEIGHTS:
        facts = changed[change.deployment].facts._replace(**{change.what: value})  # type: ignore[arg-type]
        changed[change.deployment] = Entry(change.deployment, facts)
    mine = total(changed.pop(change.deployment), weights)
    return mine - max(total(entry, weights) for entry in changed.values())


@given(MANY_FACTS, WEIGHTS)
def test_the_stated_change_flips_the_choice_and_a_clearly_smaller_one_does_not(
    facts: list[Facts], weights: Weights
) -> None:
    entries = planned(facts, weights)
    found = changes(entries, weights)
    assert [change.size for change in found] == sorted(change.size for change in found)
    assert len({change.deployment for change in found}) == len(found)
    for change in found:
        assert change.deployment != entries[0].deployment
        assert 0 <= change.size <= 1 + 1e-9
        assert (change.bound >= change.was) is change.above or change.bound == pytest.approx(change.was)
        assert lead(change, change.bound, entries, weights) == pytest.approx(0, abs=1e-6)
        half_way = (change.was + change.bound) / 2
        assert lead(change, half_way, entries, weights) <= 1e-9
        beyond = change.bound + (1 if change.above else -1) * max(abs(change.bound) * 1e-6, 1e-9)
        ahead, before = lead(change, beyond, entries, weights), lead(change, change.bound, entries, weights)
        assert ahead >= before - 1e-9


@given(FACTS, FACTS, st.sampled_from(["price", "latency_ms", "quota_left", "strength", "errors"]))
def test_a_rounded_figure_stays_on_the_side_on_which_it_flips(one: Facts, other: Facts, what: str) -> None:
    weights = Weights()
    entries = planned([one, other], weights)
    gap = total(entries[0], weights) - total(entries[1], weights)
    assume(gap > 1e-3)
    for change in changes(entries, weights):
        if change.what != what:
            continue
        said = in_words(change, "chat", change.deployment == "a")
        figures = [float(found.replace(",", "")) for found in re.findall(r"[0-9][0-9,.]*(?<![.,])", said.split("`")[2])]
        scale = {"price": 1e6, "latency_ms": 1e3 if " s (" in said else 1.0}.get(what, 0.01 if "%" in said else 1.0)
        said_bound = figures[1 if what == "latency_ms" and "p95" in said else 0] * scale
        assert lead(change, said_bound, entries, weights) >= -1e-5


ONE = Facts(0, 1.0, 0.0, 500.0, 0.5, 0.5, True)


def only(*facts: Facts, weights: Weights | None = None) -> Change:
    [change] = changes(planned(facts, weights or Weights()), weights or Weights())
    return change


@pytest.mark.parametrize(
    ("better", "worse", "what", "said"),
    [
        (ONE, ONE._replace(latency_ms=900.0), "latency_ms", "with a p95 below 500 ms (was 900 ms)."),
        (
            ONE,
            ONE._replace(latency_ms=9_000.0, measured=False),
            "latency_ms",
            "typical latency below 500 ms (was 9 s).",
        ),
        (
            ONE._replace(price=420_000),
            ONE._replace(price=610_000),
            "price",
            "below $0.42 per million tokens (was $0.61).",
        ),
        (
            ONE._replace(quota_left=0.9),
            ONE._replace(quota_left=0.75),
            "quota_left",
            "with more than 90% of its quota left (was 75%).",
        ),
        (ONE._replace(errors=0.02), ONE._replace(errors=0.03), "errors", "error rate below 2% (counted as 3%)."),
        (ONE._replace(strength=0.81), ONE, "strength", "with a strength in coding above 0.81 (was 0.5)."),
    ],
)
def test_a_change_of_each_fact_in_words(better: Facts, worse: Facts, what: str, said: str) -> None:
    entries = planned([better, worse], Weights())
    weights = Weights()
    [change] = [change for change in _each(entries, weights) if change.what == what]
    assert in_words(change, "coding", worse.measured).endswith(said)


def _each(entries: Sequence[Entry], weights: Weights) -> list[Change]:
    """With only one factor that counts beside a constant, so that its own change is the one that is found."""
    found = []
    for name in NAMES_OF_WEIGHTS:
        alone = Weights(**{other: getattr(weights, other) if other == name else 0.0 for other in NAMES_OF_WEIGHTS})
        if total(entries[0], alone) > total(entries[1], alone):
            found += [change for change in changes(entries, alone) if change.what not in NAMES_OF_WEIGHTS]
    return found


def test_what_is_bought_by_a_weight_is_said_as_a_weight() -> None:
    good_but_slow = ONE._replace(strength=0.7, latency_ms=2_000.0)
    change = only(ONE, good_but_slow, weights=Weights(latency=10, task=10))
    assert (change.what, change.above, change.was) == ("latency", False, 10)
    assert in_words(change, "chat", True).endswith("with a weight of latency below 6.66 (was 10).")
    near_but_slow = ONE._replace(preference=1.0, latency_ms=2_000.0)
    raised = only(ONE, near_but_slow, weights=Weights(0, 0, 0, 50, 0, 20))
    assert in_words(raised, "chat", True).endswith("with a weight of environment above 30 (was 20).")


def test_a_factor_that_counted_for_nothing_may_have_decided() -> None:
    cheaper = ONE._replace(price=0, latency_ms=501.0)
    change = only(ONE._replace(price=1_000_000), cheaper, weights=Weights(0, 0, 0, 0.001, 0, 0))
    assert (change.what, change.was, change.above) == ("cost", 0, True)
    assert in_words(Change("b", "cost", 0, 0, True, 0), "chat", True).endswith("a weight of cost above 0 (was 0).")


def test_equals_need_no_change_to_speak_of() -> None:
    assert only(ONE._replace(price=1000), ONE._replace(price=1000)).size == pytest.approx(0)


def test_nothing_is_said_where_no_single_change_suffices() -> None:
    worse = ONE._replace(preference=0.4)
    assert (
        changes(
            planned([ONE._replace(strength=1.0, preference=1.0), worse], Weights(0, 0, 0, 0, 0, 1)),
            Weights(0, 0, 0, 0, 0, 1),
        )
        == []
    )
    assert changes([], Weights()) == []


def test_whoever_rests_with_more_points_needed_only_not_to_rest() -> None:
    resting = Entry("b", ONE._replace(price=0), free=False)
    poor = Entry("c", ONE._replace(price=9_000_000), free=False)
    first = Entry("a", ONE._replace(price=100_000))
    [change] = changes([first, resting, poor], Weights())
    assert in_words(change, "chat", True) == "`b` would have been first had it not been tried last for now."
    assert changes([resting, poor], Weights()) == []


def recorded(**first: Any) -> dict[str, Any]:
    weights = Weights()
    entries = planned([ONE._replace(price=100_000), ONE._replace(price=500_000)], weights)
    rows = [
        {
            "deployment": entry.deployment,
            "position": position,
            "within_limits": True,
            "factors": points_of(entry.facts, weights)._asdict(),
            "facts": entry.facts._asdict(),
        }
        for position, entry in enumerate(entries, 1)
    ]
    rows.append({"deployment": "out", "position": 0})
    rows[0] |= first
    plan = {"task": "chat", "weights": weights, "candidates": rows}
    return dict(orjson.loads(orjson.dumps(plan)))


def test_a_recorded_plan_is_explained() -> None:
    [said] = sentences(recorded())
    assert said.startswith("`b` would have been first ")


@pytest.mark.parametrize(
    "damaged",
    [
        {"weights": None},
        {"candidates": 5},
        recorded(facts=None),
        recorded(facts={**ONE._asdict(), "price": "cheap"}),
        recorded(facts={**ONE._asdict(), "price": True}),
        recorded(facts={**ONE._asdict(), "price": -5}),
        recorded(factors={"total": 3}),
        recorded(position="first"),
    ],
)
def test_a_damaged_record_or_one_of_other_formulas_is_not_explained(damaged: dict[str, Any]) -> None:
    assert sentences({**recorded(), **damaged}) == []


def test_a_plan_that_did_not_score_has_nothing_to_explain() -> None:
    assert sentences({}) == []


def test_a_name_cannot_end_its_own_mark() -> None:
    change = Change("a`b", "free", 0, 1, True, 0)
    assert in_words(change, "chat", True).startswith("`a'b` ")
