"""The breaker as a table, whatever happens to it and when; and its picture in ARCHITECTURE.md."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.breaker import (
    FIRST_PAUSE_S,
    FIRST_RESORT_S,
    HEALTHY,
    IN_A_ROW,
    LONGEST_PAUSE_S,
    LONGEST_RESORT_S,
    LONGEST_TOLD_S,
    MIN_SAMPLES,
    NOTHING_RECENT,
    TABLE,
    WINDOW_S,
    Breaker,
    Event,
    Failure,
    Recent,
    State,
    answered,
    asked,
    began,
    counted,
    failed,
    may_ask,
    pause_s,
)

SLOW = Failure("timeout")
REFUSED = Failure("connection_failed", unreachable=True)
FAILURES = st.builds(Failure, st.just("http_500"), st.booleans(), st.none() | st.floats(0, 10**6))
STEPS = st.tuples(
    st.floats(0, 100), st.one_of(st.sampled_from(["asked alone", "asked", "began", "answered"]), FAILURES)
)


def failing(times: int, failure: Failure = SLOW, *, now: float = 0.0) -> Breaker:
    breaker, recent = HEALTHY, NOTHING_RECENT
    for _ in range(times):
        recent = counted(recent, now, failure=True)
        breaker = failed(breaker, failure, recent, now)
    return breaker


def step(breaker: Breaker, recent: Recent, what: str | Failure, now: float) -> tuple[Breaker, Recent]:
    """What the process does with it: it asks only who may be asked."""
    if isinstance(what, Failure):
        recent = counted(recent, now, failure=True)
        return failed(breaker, what, recent, now), recent
    if what.startswith("asked"):
        may = may_ask(breaker, now, alone="alone" in what)
        return asked(breaker, now) if may else breaker, recent
    if what == "began":
        return began(breaker), recent
    return answered(breaker), counted(recent, now, failure=False)


@given(st.lists(STEPS, max_size=40))
def test_whatever_happens_the_pauses_are_bounded_and_probes_are_far_apart(steps: list[tuple[float, str]]) -> None:
    breaker, recent, now = HEALTHY, NOTHING_RECENT, 0.0
    probe_at = -LONGEST_PAUSE_S
    for passed, what in steps:
        now += passed
        before = breaker
        breaker, recent = step(breaker, recent, what, now)
        assert breaker.pause_ends <= now + LONGEST_TOLD_S
        assert breaker.last_resort_at <= breaker.pause_ends or breaker.last_resort_at <= now + LONGEST_RESORT_S
        if breaker.state == "closed":
            assert may_ask(breaker, now, alone=False)
            probe_at = -LONGEST_PAUSE_S
            continue
        assert breaker.openings >= 1
        assert may_ask(breaker, now, alone=True) >= may_ask(breaker, now, alone=False)
        if what == "asked alone" and breaker is not before:
            assert now - probe_at >= FIRST_RESORT_S, "one probe for each pause"
            probe_at = now


def test_some_failures_in_a_row_open_it_and_an_answer_between_them_does_not() -> None:
    assert failing(IN_A_ROW - 1).state == "closed"
    assert failing(IN_A_ROW).state == "open"
    breaker = answered(failing(IN_A_ROW - 1))
    assert failed(breaker, SLOW, Recent(0, IN_A_ROW + 1, IN_A_ROW), 1.0).state == "closed"


def test_who_cannot_be_reached_or_says_when_to_come_back_is_believed_at_once() -> None:
    assert failing(1, REFUSED).state == "open"
    told = failing(1, Failure("http_503", told_s=30))
    assert (told.state, told.pause_ends, told.last_resort_at) == ("open", 30, 30)
    assert not may_ask(told, 29.9, alone=True)


def test_half_of_many_attempts_failing_opens_it_though_never_in_a_row() -> None:
    breaker, recent = HEALTHY, NOTHING_RECENT
    for number in range(MIN_SAMPLES):
        assert breaker.state == "closed"
        breaker, recent = step(breaker, recent, SLOW if number % 2 else "answered", 1.0)
    assert breaker.state == "open"


def test_what_failed_in_an_earlier_window_is_not_counted() -> None:
    recent = Recent(0, MIN_SAMPLES, MIN_SAMPLES)
    assert counted(recent, WINDOW_S - 0.1, failure=False) == Recent(0, MIN_SAMPLES + 1, MIN_SAMPLES)
    assert counted(recent, WINDOW_S, failure=True) == Recent(1, 1, 1)


def test_each_opening_in_a_row_doubles_the_pause_up_to_a_minute() -> None:
    breaker, now, pauses = failing(1, REFUSED), 0.0, []
    for _ in range(1200):
        pauses.append(breaker.pause_ends - now)
        now = breaker.pause_ends
        breaker = failed(asked(breaker, now), REFUSED, NOTHING_RECENT, now)
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_who_has_nobody_else_may_probe_sooner_but_also_once() -> None:
    breaker = failing(1, REFUSED)
    assert not may_ask(breaker, FIRST_RESORT_S - 0.1, alone=True)
    assert may_ask(breaker, FIRST_RESORT_S, alone=True) and not may_ask(breaker, FIRST_RESORT_S, alone=False)
    probing = asked(breaker, FIRST_RESORT_S)
    assert probing.state == "half_open"
    assert not may_ask(probing, FIRST_RESORT_S + 0.1, alone=True), "one at a time"
    assert may_ask(probing, 2 * FIRST_RESORT_S, alone=True), "nothing was heard of the first"


def test_the_first_content_closes_it_on_parole_and_the_whole_answer_for_good() -> None:
    probing = asked(failing(1, REFUSED), 10.0)
    parole = began(probing)
    assert parole.state == "closed"
    again = failed(parole, SLOW, Recent(1, 1, 1), 11.0)
    assert (again.state, again.openings) == ("open", 2)
    assert answered(parole) == answered(probing) == HEALTHY
    assert began(HEALTHY) is HEALTHY and asked(HEALTHY, 0.0) is HEALTHY and answered(HEALTHY) is HEALTHY


def test_requests_that_were_under_way_neither_close_it_nor_prolong_the_pause() -> None:
    breaker = failing(1, REFUSED)
    assert failed(breaker, SLOW, NOTHING_RECENT, 1.0) == breaker
    assert answered(breaker) is breaker and began(breaker) is breaker
    assert failed(breaker, Failure("http_503", told_s=60), NOTHING_RECENT, 1.0).pause_ends == 61


@pytest.mark.parametrize(
    ("times", "told_s", "pause"), [(1, None, 2), (3, None, 8), (1, 1, 2), (1, 30, 30), (9, 30, 60), (1, 10**6, 3600)]
)
def test_the_providers_word_prolongs_the_pause_only(times: int, told_s: float | None, pause: float) -> None:
    assert pause_s(times, told_s) == pause


def test_the_table_is_whole_and_is_what_architecture_md_shows() -> None:
    # Failures are counted while it is closed only, and then nobody needs to probe.
    impossible = {("open", "too_many"), ("half_open", "too_many"), ("closed", "probe")}
    assert {(state, event) for state in get_args(State) for event in get_args(Event)} - TABLE.keys() == impossible
    drawn = "\n".join(
        ["```mermaid", "stateDiagram-v2", "    [*] --> closed"]
        + [f"    {state} --> {after}: {event}" for (state, event), after in TABLE.items()]
        + ["```"]
    )
    assert drawn in (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text(), drawn
