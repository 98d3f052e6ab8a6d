"""A provider said “too many requests”: it is left alone for as long as it asks, and nothing is held against it."""

from dataclasses import dataclass

from routing.core.breaker import LONGEST_TOLD_S, pause_s


@dataclass(frozen=True, slots=True)
class Rest:
    """Until when (epoch seconds), and how often in a row."""

    until: float = 0.0
    times: int = 0


def rested(rest: Rest, told_s: float | None, now: float) -> Rest:
    """``told_s``: its Retry-After; where it does not say, the rests grow. Refusals that come during a rest are of
    requests that were under way."""
    times = rest.times + (now >= rest.until)
    pause = pause_s(max(1, times), None) if told_s is None else min(told_s, LONGEST_TOLD_S)
    return Rest(max(rest.until, now + pause), times)
