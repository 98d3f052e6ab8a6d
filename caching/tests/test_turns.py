"""Turns at the embedder, played on a clock of the test: texts come, one at a time is worked on."""

from collections.abc import Iterable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caching.core.turns import MOST_WAITING, USUAL_S, Turns

PATIENCE_S = 0.05


class Played:
    """What happened to texts that came at these moments, each taking ``took_s``."""

    def __init__(self, turns: Turns, arrivals: Iterable[float], took_s: float = USUAL_S) -> None:
        self.begun: list[tuple[float, float]] = []  # came, began
        self.without: list[float] = []
        queue: list[float] = []
        free_at = 0.0
        for now in [*sorted(arrivals), inf]:
            while queue and max(free_at, queue[0]) + took_s <= now:
                free_at = self._work(turns, queue, free_at, took_s)
            if now == inf:
                return
            if turns.admits(now, PATIENCE_S):
                turns.waiting += 1
                queue.append(now)
            else:
                self.without.append(now)

    def _work(self, turns: Turns, queue: list[float], free_at: float, took_s: float) -> float:
        came = queue.pop(0)
        began = max(free_at, came)
        self.begun.append((came, began))
        turns.waiting -= 1
        turns.ended(began + took_s, took_s)
        return began + took_s

    @property
    def longest_wait_s(self) -> float:
        return max(began - came for came, began in self.begun)


def every(gap_s: float, for_s: float, since: float = 1.0) -> list[float]:
    return [since + gap_s * number for number in range(round(for_s / gap_s))]


def test_a_burst_waits_as_long_as_it_may() -> None:
    played = Played(Turns(), [1.0] * 10)
    assert len(played.begun) == 4, "those who wait 0, 15, 30 and 45 ms"
    assert played.longest_wait_s == pytest.approx(3 * USUAL_S)


def test_of_a_flood_a_part_is_taken_at_once_and_half_of_the_time_is_left_to_others() -> None:
    turns = Turns()
    Played(turns, every(0.002, 0.2))
    flood = Played(turns, every(0.002, 10.0, since=1.2))
    assert flood.longest_wait_s == 0
    assert 0.4 <= len(flood.begun) * USUAL_S / 10.0 <= 0.5


@given(st.floats(0.002, 0.012), st.floats(0.015, 0.06))
def test_after_a_flood_a_burst_is_waited_for_again(gap_s: float, took_s: float) -> None:
    turns = Turns(usual_s=took_s)
    assert Played(turns, every(gap_s, 2.0), took_s).without
    Played(turns, [10.0, 11.0], took_s)
    after = Played(turns, [20.0, 20.0], took_s)
    assert len(after.begun) == (2 if turns.usual_s <= PATIENCE_S else 1)


@given(st.lists(st.floats(0, 20), max_size=300))
def test_nobody_waits_much_longer_than_he_may(arrivals: list[float]) -> None:
    played = Played(Turns(), arrivals)
    assert len(played.begun) + len(played.without) == len(arrivals)
    assert not played.begun or played.longest_wait_s <= PATIENCE_S + USUAL_S


@given(st.lists(st.integers(0, 50), max_size=100))
def test_texts_that_come_one_at_a_time_are_all_taken(gaps: list[int]) -> None:
    moments, now = [], 1.0
    for gap in gaps:
        moments.append(now)
        now += USUAL_S * (1 + gap)
    assert not Played(Turns(), moments).without


def test_who_waits_for_ever_is_turned_away_by_a_full_queue_only() -> None:
    turns = Turns(waiting=MOST_WAITING - 1)
    assert not turns.admits(1.0, PATIENCE_S)
    turns.ended(1.0, USUAL_S)
    assert turns.admits(1.0, inf) and not turns.admits(1.0, PATIENCE_S)
    turns.waiting += 1
    assert turns.full and not turns.admits(1.0, inf)
