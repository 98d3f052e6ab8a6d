"""The test of scores: fair for every hypothesis that holds, in the algebra and in simulated canaries; and its pairs."""

from math import exp, isclose
from uuid import UUID

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from routing.core.canary import SCORE, Call
from routing.core.paired import NO_PAIRS, Paired, interval, with_pair
from routing.core.pairing import Waiting, pairs_in

SCORES = st.integers(0, 100).map(lambda hundredths: hundredths / 100)
HISTORY = st.lists(st.tuples(SCORES, SCORES), max_size=30)
GRADES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
GOOD, BAD = [0.03, 0.04, 0.12, 0.28, 0.53], [0.1, 0.15, 0.2, 0.27, 0.28]  # means .81 and .62


def _after(history: list[tuple[float, float]], tolerance: float = 0.05) -> Paired:
    test = NO_PAIRS
    for candidate, base in history:
        test = with_pair(test, candidate, base, tolerance=tolerance)
    return test


@given(HISTORY, st.lists(st.tuples(SCORES, SCORES, st.integers(1, 9)), min_size=1, max_size=8), st.floats(0, 0.9))
def test_no_pair_makes_the_fortune_grow_on_average_while_the_candidate_is_no_worse(
    history: list[tuple[float, float]], outcomes: list[tuple[float, float, int]], more: float
) -> None:
    """Whatever was bet before, and however the next pair is distributed: the mean over all its outcomes, exactly."""
    whole = sum(weight for *_, weight in outcomes)
    gap = sum(weight * (base - candidate) for candidate, base, weight in outcomes) / whole
    tolerance = min(max(gap, 0.0) + more, 0.95)
    assume(gap <= tolerance)
    before = _after(history, tolerance)
    mean = sum(
        weight / whole * exp(with_pair(before, candidate, base, tolerance=tolerance).log_e - before.log_e)
        for candidate, base, weight in outcomes
    )
    assert mean <= 1 + 1e-9


@given(HISTORY)
def test_what_is_kept_is_all_of_it_and_the_peak_never_falls(history: list[tuple[float, float]]) -> None:
    test, peak = NO_PAIRS, 0.0
    for candidate, base in history:
        test = with_pair(test, candidate, base, tolerance=0.05)
        assert test.peak >= max(peak, test.log_e)
        peak = test.peak
    assert test.pairs == len(history)
    if history:
        candidate_mean, base_mean = test.means
        assert isclose(candidate_mean, sum(one for one, _ in history) / len(history), abs_tol=1e-9)
        assert isclose(base_mean, sum(one for _, one in history) / len(history), abs_tol=1e-9)
    assert _after(list(reversed(history))).gaps == test.gaps


@given(HISTORY.filter(bool))
def test_the_interval_holds_the_mean_and_says_what_the_test_says(history: list[tuple[float, float]]) -> None:
    test = _after(history)
    low, high = interval(test)
    candidate, base = test.means
    assert -1 <= low <= base - candidate + 1e-6 and base - candidate - 1e-6 <= high <= 1
    mirrored = interval(_after([(theirs, ours) for ours, theirs in history]))
    assert mirrored == pytest.approx((-high, -low))
    if exp(test.log_e) >= 40:
        assert low >= 0.05 - 1e-6, "what is decided lies wholly beyond what is allowed"


def test_nothing_is_known_without_pairs() -> None:
    assert interval(NO_PAIRS) == (-1, 1) and NO_PAIRS.log_e == 0


def test_an_identical_candidate_stays_and_a_worse_one_goes() -> None:
    """The tolerance 0 is the hardest for an identical one. If each of 120 is taken back with probability SCORE, more
    than 3 are so with one seed in 10,000; this is one seed."""
    chance, back = np.random.default_rng(5), []
    for _ in range(120):
        draws = chance.choice(GRADES, (200, 2), p=GOOD)
        back.append(exp(_after([tuple(pair) for pair in draws.tolist()], 0.0).peak) >= 1 / SCORE)
    assert sum(back) <= 3
    needed = []
    for _ in range(20):
        test = NO_PAIRS
        for ours, theirs in zip(chance.choice(GRADES, 600, p=BAD), chance.choice(GRADES, 600, p=GOOD), strict=True):
            test = with_pair(test, ours, theirs, tolerance=0.05)
            if exp(test.peak) >= 1 / SCORE:
                break
        needed.append(test.pairs)
    assert np.median(needed) <= 160 and max(needed) < 600


def _call(candidate: bool, number: int | None) -> Call:
    return Call(candidate, False, trace=None if number is None else UUID(int=number))


def test_each_answer_is_beside_the_one_that_came_nearest() -> None:
    calls = [_call(False, 1), _call(False, 2), _call(True, 3), _call(True, 4), _call(True, None), _call(True, 5)]
    made, waiting = pairs_in(calls, Waiting(), 100)
    assert made == [(UUID(int=3), UUID(int=2))], "1 was followed by another one of the base"
    assert waiting == Waiting(UUID(int=5)), "4 was followed by another one of the candidate"
    made, after = pairs_in([_call(False, 6), _call(False, 7)], waiting, 100)
    assert (made, after) == ([(UUID(int=5), UUID(int=6))], (None, UUID(int=7)))


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60), st.floats(0.1, 100))
def test_pairs_do_not_depend_on_when_one_looks_and_hold_no_answer_twice(
    sides: list[bool], cut: int, percent: float
) -> None:
    calls = [_call(candidate, number) for number, candidate in enumerate(sides)]
    made, waiting = pairs_in(calls, Waiting(), percent)
    first, between = pairs_in(calls[:cut], Waiting(), percent)
    second, end = pairs_in(calls[cut:], between, percent)
    assert (first + second, end) == (made, waiting)
    used = [trace for pair in made for trace in pair]
    assert len(used) == len(set(used))
    assert all(sides[ours.int] and not sides[theirs.int] for ours, theirs in made)


def test_a_share_of_the_candidates_answers_takes_part() -> None:
    calls = [_call(bool(number % 2), number) for number in range(4_000)]
    assert 150 <= len(pairs_in(calls, Waiting(), 10)[0]) <= 250
