from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx

from routing.core.quality import curve, figures

MODEST = settings(max_examples=50, deadline=None)

results = st.lists(st.tuples(st.sampled_from([-0.5, 0.0, 0.25, 1.0]), st.booleans(), st.booleans()), min_size=1)


def split(rows: list[tuple[float, bool, bool]]) -> tuple[Any, Any, Any]:
    gains, weak, strong = zip(*rows, strict=True)
    return np.array(gains), np.array(weak), np.array(strong)


@MODEST
@given(results)
def test_the_curve_leads_from_the_weak_score_to_the_strong_one(rows: list[tuple[float, bool, bool]]) -> None:
    gains, weak, strong = split(rows)
    scores = curve(gains, weak, strong)
    assert len(scores) == len(rows) + 1
    assert scores[0] == approx(weak.mean()) and scores[-1] == approx(strong.mean())


@MODEST
@given(results, st.randoms())
def test_rows_in_another_order_give_the_same_figures(rows: list[tuple[float, bool, bool]], chance: Any) -> None:
    """So ties gain nothing from where they stand in the file."""
    shuffled = chance.sample(rows, len(rows))
    one, other = figures(*split(rows)), figures(*split(shuffled))
    assert one.strong_share_at_95 == approx(other.strong_share_at_95)
    assert (one.apgr is None) == (other.apgr is None)
    assert one.apgr is None or one.apgr == approx(other.apgr)


@MODEST
@given(results)
def test_nothing_beats_the_oracle_and_all_ties_are_chance(rows: list[tuple[float, bool, bool]]) -> None:
    gains, weak, strong = split(rows)
    found, tied = figures(gains, weak, strong), figures(np.zeros(len(rows)), weak, strong)
    assert found.oracle_share_at_95 <= found.strong_share_at_95 + 1e-9
    assert 0 <= found.strong_share_at_95 <= 1
    assert tied.strong_share_at_95 == tied.random_share_at_95 == found.random_share_at_95
    assert tied.apgr is None or tied.apgr == approx(0.5)
    assert (found.apgr is None) == (strong.mean() <= weak.mean())


def test_a_good_order_needs_few_strong_calls_and_a_bad_one_many() -> None:
    """Of 10 prompts the strong model knows all, the weak one the last 8: 95 % is 9.5 right."""
    weak, strong = np.arange(10) >= 2, np.ones(10, np.bool_)
    good = figures(-np.arange(10.0), weak, strong)
    assert good.strong_share_at_95 == good.oracle_share_at_95 == approx(0.15)
    assert good.random_share_at_95 == approx(0.75)
    assert good.apgr == approx(0.9)
    bad = figures(np.arange(10.0), weak, strong)
    assert bad.strong_share_at_95 == approx(0.95)
    assert bad.apgr == approx(0.1)
    assert (bad.weak_score, bad.strong_score) == (0.8, 1)


def test_a_weak_model_that_is_good_enough_needs_no_strong_call() -> None:
    none = figures(np.zeros(4), np.ones(4, np.bool_), np.zeros(4, np.bool_))
    assert (none.strong_share_at_95, none.random_share_at_95, none.oracle_share_at_95) == (0, 0, 0)
    assert none.apgr is None
