"""What pairs of a shadow add up to, and what the sums say."""

from math import exp, isclose, log
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.shadow import (
    ENOUGH,
    Interval,
    Row,
    Side,
    Sums,
    base_of,
    interval,
    is_comparable,
    observations,
    rows_of,
    verdict,
)
from traces.draft import TraceDraft

OK = Side(False, 100.0, 20.0, 10, 40, 50)
FAILED = Side(True, cost=3)
AMOUNT = st.floats(0.1, 1e6)


def _draft(outcome: str, *attempts: tuple[str, float, float], **values: Any) -> TraceDraft:
    made = TraceDraft(id="t", tenant="a", schema="a", started_at=0, started_monotonic=0, outcome=outcome, **values)
    made.attempts_json = [{"outcome": how, "start_ms": start, "duration_ms": took} for how, start, took in attempts]
    return made


def _summed(pairs: list[tuple[Side, Side]]) -> dict[str, Sums]:
    sums: dict[str, Sums] = {}
    for base, candidate in pairs:
        for name, value in observations(base, candidate, None).items():
            sums[name] = sums.get(name, Sums()).plus(value)
    return sums


def _row(pairs: list[tuple[Side, Side]], name: str) -> Row:
    return next(row for row in rows_of(_summed(pairs)) if row.name == name)


@pytest.mark.parametrize(
    ("draft", "comparable"),
    [
        (_draft("ok", ("answered", 0, 1)), True),
        (_draft("failed", ("failed", 0, 1)), True),
        (_draft("failed"), False),
        (_draft("cached"), False),
        (_draft("limited", ("failed", 0, 1)), False),
        (_draft("cancelled", ("cancelled", 0, 1)), False),
    ],
)
def test_only_what_a_provider_answered_or_failed_is_compared(draft: TraceDraft, comparable: bool) -> None:
    assert is_comparable(draft) is comparable


def test_the_clients_side_is_the_call_that_answered_without_the_wait_before_it() -> None:
    """The first candidate failed for 70 ms, the second gave its first token after 30 of 200 ms."""
    draft = _draft("fell_back", ("failed", 0, 70), ("answered", 75, 200), ttft_ms=105.0, tokens_out=9, cost_microusd=8)
    assert base_of(draft, 5) == Side(False, 200, 30, 9, 8, 5)
    whole = _draft("ok", ("answered", 75, 200))
    assert base_of(whole, None).ttft is None
    assert base_of(_draft("ok"), None) == Side(False)
    assert base_of(_draft("failed", ("failed", 0, 70), cost_microusd=2), 0) == Side(True, cost=2)


def test_a_failure_on_either_side_counts_as_such_and_in_no_ratio() -> None:
    for base, candidate, failed in ((OK, FAILED, 1.0), (FAILED, OK, -1.0), (FAILED, FAILED, 0.0)):
        seen = observations(base, candidate, 0.5)
        assert seen["failed"] == failed and "latency" not in seen and "similarity" not in seen
    assert observations(OK, FAILED, None)["paid_candidate"] == 3


def test_what_is_zero_or_not_known_is_in_no_ratio() -> None:
    seen = observations(OK._replace(cost=0, ttft=None), OK, 0.9)
    assert {"latency", "tokens_out", "length", "similarity"} <= seen.keys()
    assert not {"cost", "ttft"} & seen.keys()


@given(st.lists(st.tuples(AMOUNT, AMOUNT), min_size=1, max_size=50))
def test_ratios_lie_between_the_least_and_the_largest(amounts: list[tuple[float, float]]) -> None:
    pairs = [(OK._replace(latency=base), OK._replace(latency=candidate)) for base, candidate in amounts]
    row = _row(pairs, "latency")
    ratios = [candidate / base for base, candidate in amounts]
    assert min(ratios) * 0.999 <= row.change.mean <= max(ratios) * 1.001
    assert isclose(row.change.mean, row.candidate / row.base, rel_tol=1e-6)
    assert (row.change.low is None) == (len(amounts) < ENOUGH)


@given(st.lists(st.floats(-5, 5), min_size=1), st.lists(st.floats(-5, 5), min_size=1))
def test_sums_of_two_processes_add_up_to_those_of_one(some: list[float], others: list[float]) -> None:
    def summed(values: list[float]) -> Sums:
        sums = Sums()
        for value in values:
            sums = sums.plus(value)
        return sums

    together = Sums._make(one + other for one, other in zip(summed(some), summed(others), strict=True))
    whole = summed(some + others)
    assert together.n == whole.n and isclose(together.squares, whole.squares, abs_tol=1e-6)
    assert isclose(interval(together).mean, interval(whole).mean, abs_tol=1e-6)


def test_the_interval_is_that_of_the_mean() -> None:
    values = [1.0, 3.0] * 50  # mean 2, variance 1 over 100 values
    sums = Sums(100, sum(values), sum(one * one for one in values))
    mean, low, high = interval(sums)
    assert low is not None and high is not None
    assert mean == 2 and isclose(high - mean, 1.96 / 99**0.5) and isclose(mean - low, high - mean)


def test_verdicts_need_pairs_and_name_the_direction() -> None:
    """The candidate takes about twice as long and costs a tenth."""
    pairs = [(OK, OK._replace(latency=190.0 + turn % 20, cost=4, tokens_out=30)) for turn in range(40)]
    found = {row.name: verdict(row) for row in rows_of(_summed(pairs))}
    assert found == {
        "failed": "same", "latency": "worse", "ttft": "same", "tokens_out": "differs", "cost": "better",
        "length": "same",
    }  # fmt: skip
    assert verdict(_row(pairs[:5], "latency")) == "open"
    assert _row(pairs[:5], "failed").change == Interval(0.0, None, None)


def test_no_failure_seen_is_not_none_possible() -> None:
    row = _row([(OK, OK)] * 300, "failed")
    assert row.change == (0.0, -0.01, 0.01) and verdict(row) == "same"
    failing = [(OK, FAILED if turn % 4 == 0 else OK) for turn in range(100)]
    row = _row(failing, "failed")
    assert (row.base, row.candidate, verdict(row)) == (0.0, 0.25, "worse")


def test_of_nothing_there_is_nothing_to_say() -> None:
    assert rows_of({}) == []
    assert exp(log(2)) == pytest.approx(2)
