"""Intervals cover the truth as often as they say, and behave at the edges: nothing varies, nothing happened, zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.core.bootstrap import (
    Floats,
    Levels,
    Measure,
    Sample,
    mean_interval,
    quantile_interval,
    typical_change_interval,
)
from evals.core.rates import rate_difference_interval, rate_interval

SURE = Levels(0.05, 0.05)
MEASURES: tuple[Measure, ...] = ("value", "change", "difference")


def sample(baseline: Floats, candidate: Floats, seed: int = 1) -> Sample:
    return Sample(np.arange(len(candidate)), baseline, candidate, seed)


def test_intervals_miss_the_truth_as_often_as_they_may() -> None:
    """At 90 %: of 60 intervals about 6 miss. Costs are skewed, latencies have long tails."""
    chance, missed = np.random.default_rng(3), dict.fromkeys(("mean", "p95", "typical"), 0)
    for seed in range(60):
        prompts = chance.lognormal(5, 0.8, 120)
        before, after = prompts * chance.lognormal(0, 0.2, 120), prompts * chance.lognormal(0.1, 0.2, 120)
        drawn = sample(before, after, seed)
        found = {
            "mean": (mean_interval(drawn, "change", SURE), np.exp(0.1) - 1),
            "p95": (quantile_interval(drawn, 0.95, "change", SURE), np.exp(0.1) - 1),
            "typical": (typical_change_interval(drawn, SURE), np.exp(0.1) - 1),
        }
        for name, (interval, truth) in found.items():
            missed[name] += not interval.low <= truth <= interval.high
    assert all(1 <= many <= 14 for many in missed.values()), missed


def test_larger_samples_are_drawn_less_often() -> None:
    many = np.ones(50_000)
    assert (sample(many[:1_000], many[:1_000]).resamples, sample(many, many).resamples) == (10_000, 2_000)


def test_a_change_from_nothing_is_infinite_and_nothing_to_nothing_is_none() -> None:
    none, some = np.zeros(20), np.ones(20)
    assert mean_interval(sample(none, some), "change", SURE).low == np.inf
    assert mean_interval(sample(none, none), "change", SURE) == (0, 0, 0)
    once = mean_interval(sample(np.eye(20)[0], some), "change", SURE)  # most resamples have no baseline at all
    assert once.estimate == pytest.approx(19) and once.high == np.inf
    assert mean_interval(sample(some, 2 * some), "difference", SURE) == (1, 1, 1)


def test_repetitions_of_one_prompt_are_drawn_together() -> None:
    chance = np.random.default_rng(2)
    values = np.repeat(chance.normal(0, 1, 20), 30)
    together = Sample(np.repeat(np.arange(20), 30), np.zeros(600), values)
    alone = mean_interval(sample(np.zeros(600), values), "value", SURE)
    grouped = mean_interval(together, "value", SURE)
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


@pytest.mark.parametrize("measure", MEASURES)
@settings(max_examples=15)
@given(values=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=2, max_size=12))
def test_an_interval_holds_its_ends_in_order(measure: Measure, values: list[tuple[float, float]]) -> None:
    drawn = sample(np.array([one for one, _ in values]), np.array([other for _, other in values]))
    for interval in (mean_interval(drawn, measure, SURE), quantile_interval(drawn, 0.9, measure, SURE)):
        assert interval.low <= interval.high
        assert not np.isnan(interval).any()


def test_what_never_happened_may_still_happen() -> None:
    never = rate_interval(np.zeros(300), SURE)
    assert never.estimate == never.low == 0 and 0.005 < never.high < 0.01
    always = rate_interval(np.ones(10), SURE)
    assert always.high == 1 and always.low < 0.8
    apart = rate_difference_interval(np.zeros(300), np.zeros(300), SURE)
    assert apart.estimate == 0 and -0.01 < apart.low < 0 < apart.high < 0.01


@settings(max_examples=50)
@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_differences_of_rates_are_fair_to_both_sides(pairs: list[tuple[bool, bool]]) -> None:
    before, after = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    there = rate_difference_interval(before, after, SURE)
    back = rate_difference_interval(after, before, SURE)
    assert there.low == pytest.approx(-back.high) and there.high == pytest.approx(-back.low)
    assert -1 <= there.low <= there.estimate <= there.high <= 1
