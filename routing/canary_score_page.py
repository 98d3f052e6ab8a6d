"""What the page of a canary shows of its scores: both means, their difference with its interval beside what is allowed,
which pairs differ most, what it cost, and why there is nothing, if so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F

from routing.canary_scores import scores_told
from routing.models import Canary, CanaryPair

WIDTH = 600
LEAST_SPAN = 0.1  # shown on either side of no difference, in score
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """Places from left (worse) to right (better), 0 to WIDTH. ``bound``: of what is allowed."""

    estimate: float
    low: float
    high: float
    zero: float
    bound: float
    width: int = WIDTH


@dataclass(frozen=True, slots=True)
class Scores:
    """``change``: the candidate's mean less the base's, with its sign; ``low`` and ``high``: its 95 % interval.
    ``worst``: traces of candidate and base with their scores."""

    told: Mapping[str, Any]
    pairs: int
    candidate: float | None
    base: float | None
    change: str
    low: str
    high: str
    figure: Figure | None
    worst: list[Any]


def scores_of(canary: Canary, found: Mapping[str, Any] | None) -> Scores | None:
    """``found``: the figures of the test; None: nothing is scored."""
    told = scores_told(canary)
    if told is None or found is None:
        return None
    candidate, base, pairs = found["candidate"], found["base"], found["pairs"]
    if not pairs:
        return Scores(told, 0, candidate, base, "", "", "", None, [])
    change, low, high = -found["gap"], -found["high"], -found["low"]
    figure = _figure(change, low, high, -told["tolerance"])
    return Scores(told, pairs, candidate, base, _signed(change), _signed(low), _signed(high), figure, _worst(canary))


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _figure(change: float, low: float, high: float, bound: float) -> Figure:
    span = max(LEAST_SPAN, -low, high, -bound) * 1.08

    def place(value: float) -> float:
        return round((value / span + 1) * WIDTH / 2, 1)

    return Figure(place(change), place(low), place(high), place(0.0), place(bound))


def _worst(canary: Canary) -> list[Any]:
    order = (F("candidate_score") - F("base_score"), "-pk")
    worse = CanaryPair.objects.filter(canary=canary, candidate_score__lt=F("base_score")).order_by(*order)
    return list(worse.values_list("candidate_trace", "candidate_score", "base_trace", "base_score")[:SHOWN])
