"""The smallest change that would have put another candidate first, from what a trace keeps of a scored plan.

A change moves one number and nothing else: a fact of one candidate, or one weight of the policy. How large it is
counts on a common scale from 0 to 1: for a price or a latency the part of it that would have to go, for what lies
between 0 and 1 the difference, for a weight the difference in parts of 100.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

from routing.core.policy import Weights
from routing.core.scoring import (
    HALF_LATENCY_MS,
    HALF_PRICE,
    NEUTRAL_ERRORS,
    Facts,
    cost_share,
    health_share,
    latency_share,
    points_of,
)

MAX_WEIGHT = 100.0
ROOM = 1e-9  # less between two bounds is rounding
WEIGHTS = tuple(item.name for item in fields(Weights))


@dataclass(frozen=True, slots=True)
class Entry:
    """``free``: within its limits and not failing; who is not free was tried last whatever its points."""

    deployment: str
    facts: Facts
    free: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """``what`` above or below ``bound`` would have put ``deployment`` first.

    ``what`` is a field of Facts, a weight (a field of Weights), or ``free``.
    """

    deployment: str
    what: str
    was: float
    bound: float
    above: bool
    size: float


def changes(entries: Sequence[Entry], weights: Weights) -> list[Change]:
    """For each candidate but the first its smallest change, if one suffices; the smallest first.

    ``entries`` stand in the order of the plan.
    """
    free = [entry for entry in entries if entry.free]
    found = [_freed(entry, entries[0], weights) for entry in entries[1:] if not entry.free] if free else []
    for index in range(1, len(free)):
        each = [*_of_facts(free[index], free[0], weights), *_of_weights(index, free, weights)]
        found.append(min(each, key=lambda change: change.size, default=None))
    return sorted(filter(None, found), key=lambda change: change.size)


def _freed(entry: Entry, first: Entry, weights: Weights) -> Change | None:
    if points_of(entry.facts, weights).total <= points_of(first.facts, weights).total:
        return None
    return Change(entry.deployment, "free", 0.0, 1.0, True, 0.0)


def _of_facts(entry: Entry, first: Entry, weights: Weights) -> Iterator[Change]:
    gap = points_of(first.facts, weights).total - points_of(entry.facts, weights).total
    for fact in FACTS:
        weight, was = getattr(weights, fact.weight), getattr(entry.facts, fact.name)
        needed = fact.share(was) + gap / weight if weight else 1.0
        if needed < 1.0 - ROOM:
            bound = fact.worth(needed)
            size = max(0.0, 1 - bound / was) if fact.open_ended else abs(bound - was)
            yield Change(entry.deployment, fact.name, was, bound, fact.more_is_better, size)


def _of_weights(index: int, entries: Sequence[Entry], weights: Weights) -> Iterator[Change]:
    """A weight counts for all candidates: the new one must put this one before each of the others."""
    shares = [points_of(entry.facts, ALL_ONE) for entry in entries]
    totals = [points_of(entry.facts, weights).total for entry in entries]
    others = [other for other in range(len(entries)) if other != index]
    for what in WEIGHTS:
        was = getattr(weights, what)
        low, high = -was, MAX_WEIGHT - was  # how far the weight may move: what lies between puts this one first
        for other in others:
            behind = totals[other] - totals[index]
            gain = getattr(shares[index], what) - getattr(shares[other], what)  # on the other, a point of weight
            if gain > 0:
                low = max(low, behind / gain)
            elif gain < 0:
                high = min(high, behind / gain)
            elif behind >= 0:
                high = low
        if high - low > ROOM:
            step = low if low >= 0 else high
            yield Change(entries[index].deployment, what, was, was + step, low >= 0, abs(step) / MAX_WEIGHT)


@dataclass(frozen=True, slots=True)
class Fact:
    """A field of Facts that might have been another: what share of its weight it gives, and the way back."""

    name: str
    weight: str
    share: Callable[[float], float]
    worth: Callable[[float], float]
    more_is_better: bool
    open_ended: bool = False


def _itself(share: float) -> float:
    return share


ALL_ONE = Weights(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
FACTS = (
    Fact("price", "cost", cost_share, lambda share: HALF_PRICE / share - HALF_PRICE, False, open_ended=True),
    Fact("quota_left", "quota", _itself, _itself, True),
    Fact("errors", "health", health_share, lambda share: NEUTRAL_ERRORS * (1 - share), False),
    Fact(
        "latency_ms",
        "latency",
        latency_share,
        lambda share: HALF_LATENCY_MS / share - HALF_LATENCY_MS,
        False,
        open_ended=True,
    ),
    Fact("strength", "task", _itself, _itself, True),
)
