"""When a deployment that fails is left alone, and how it comes back: a table of states, drawn in ARCHITECTURE.md.

Too many failures open the breaker for a pause that doubles with each opening in a row. When the pause is over, one
request probes: its first content closes the breaker, its failure opens it anew. A request that has nobody else to ask
need not wait so long (``last_resort_at``): with every provider down, a short pause is what makes the recovery short.
Times are epoch seconds. Each process has its own breakers, so there is one probe for each pause and process.
"""

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["closed", "open", "half_open"]
Event = Literal["failed", "too_many", "content", "probe"]

TABLE: dict[tuple[State, Event], State] = {
    ("closed", "failed"): "closed",
    ("closed", "too_many"): "open",
    ("closed", "content"): "closed",
    ("open", "failed"): "open",  # these two come late, from requests that were under way
    ("open", "content"): "open",
    ("open", "probe"): "half_open",
    ("half_open", "failed"): "open",
    ("half_open", "content"): "closed",
    ("half_open", "probe"): "half_open",  # nothing was heard of the probe before
}

IN_A_ROW = 5
WINDOW_S, MIN_SAMPLES, MAX_RATIO = 10, 20, 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_TOLD_S = 2.0, 60.0, 3600.0
FIRST_RESORT_S, LONGEST_RESORT_S = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Failure:
    """``unreachable``: not even a connection, which needs no second proof. ``told_s``: the provider's Retry-After."""

    why: str
    unreachable: bool = False
    told_s: float | None = None


@dataclass(frozen=True, slots=True)
class Breaker:
    """``in_a_row``: failures since the last whole answer. ``openings``: how often it opened since then."""

    state: State = "closed"
    in_a_row: int = 0
    openings: int = 0
    pause_ends: float = 0.0
    last_resort_at: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Recent:
    """Attempts that ended in this stretch of WINDOW_S seconds, and those of them that failed."""

    window: int = 0
    samples: int = 0
    failures: int = 0


HEALTHY = Breaker()
NOTHING_RECENT = Recent()


def counted(recent: Recent, now: float, *, failure: bool) -> Recent:
    window = int(now // WINDOW_S)
    if window != recent.window:
        return Recent(window, 1, int(failure))
    return Recent(window, recent.samples + 1, recent.failures + failure)


def may_ask(breaker: Breaker, now: float, *, alone: bool) -> bool:
    """``alone``: the request has nobody else to ask."""
    return breaker.state == "closed" or now >= (breaker.last_resort_at if alone else breaker.pause_ends)


def asked(breaker: Breaker, now: float) -> Breaker:
    """A request goes there, which ``may_ask`` allowed: if the breaker was not closed it is the probe, and the next one
    waits for as long again."""
    if breaker.state == "closed":
        return breaker
    return _paused(replace(breaker, state=TABLE[breaker.state, "probe"]), now, None)


def began(breaker: Breaker) -> Breaker:
    """The first content came. It closes a half-open breaker on parole: one failure opens it again, for longer."""
    state = TABLE[breaker.state, "content"]
    return breaker if state == breaker.state else replace(breaker, state=state, in_a_row=IN_A_ROW - 1)


def answered(breaker: Breaker) -> Breaker:
    """An answer was whole: what was held against it is forgotten."""
    return breaker if TABLE[breaker.state, "content"] == "open" else HEALTHY


def failed(breaker: Breaker, failure: Failure, recent: Recent, now: float) -> Breaker:
    """``recent`` counts this failure already."""
    in_a_row = breaker.in_a_row + 1
    many = breaker.state == "closed" and _too_many(failure, in_a_row, recent)
    state = TABLE[breaker.state, "too_many" if many else "failed"]
    if state == "closed":
        return replace(breaker, in_a_row=in_a_row)
    if breaker.state == "open":
        return breaker if failure.told_s is None else _told(breaker, failure.told_s, now)
    opened = replace(breaker, state=state, in_a_row=in_a_row, openings=breaker.openings + 1, why=failure.why)
    return _paused(opened, now, failure.told_s)


def pause_s(times: int, told_s: float | None) -> float:
    """How long to stay away after so many times in a row (1 or more). The provider's own word prolongs it only."""
    return max(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(times - 1, 10)), _bounded(told_s))


def _too_many(failure: Failure, in_a_row: int, recent: Recent) -> bool:
    if failure.unreachable or failure.told_s is not None or in_a_row >= IN_A_ROW:
        return True
    return recent.samples >= MIN_SAMPLES and recent.failures >= MAX_RATIO * recent.samples


def _paused(breaker: Breaker, now: float, told_s: float | None) -> Breaker:
    resort = min(LONGEST_RESORT_S, FIRST_RESORT_S * 2.0 ** min(breaker.openings - 1, 10))
    return replace(
        breaker,
        pause_ends=now + pause_s(breaker.openings, told_s),
        last_resort_at=now + max(resort, _bounded(told_s)),
    )


def _told(breaker: Breaker, told_s: float, now: float) -> Breaker:
    """It is open already; what the provider says of when to come back still counts."""
    until = now + _bounded(told_s)
    return replace(
        breaker, pause_ends=max(breaker.pause_ends, until), last_resort_at=max(breaker.last_resort_at, until)
    )


def _bounded(told_s: float | None) -> float:
    return min(told_s or 0.0, LONGEST_TOLD_S)
