"""What a decision made anew would have cost and taken, from what the request's trace says happened.

Nobody is asked again, so these are predictions: the first candidate answers; tokens are the trace's own; a hit of the
cache stays a hit where the plan still allows it. A request that moves to another deployment keeps its luck: if it was
faster than 70 % of the calls of its own, it is taken to be faster than 70 % of the other's recent calls.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from routing.core.candidate import cost_microusd
from routing.core.replay import Outcome

HIT_MS = 5.0  # a hit's latency where none was seen
MEDIAN = 0.5


class Seen(NamedTuple):
    """Of the trace. ``cache`` as Trace.cache, ``similarity`` of the nearest stored question if one was found and the
    guard had nothing against it. Milliseconds; None: not known, nobody answered."""

    deployment: str
    latency_ms: float
    backend_ms: float | None
    tokens_in: int | None
    tokens_out: int | None
    cache: str
    similarity: float | None = None

    @property
    def hit(self) -> bool:
        return self.cache in ("exact", "semantic", "replay")


class Predicted(NamedTuple):
    """``assumed``: the latency is the catalogue's typical one, as no recent call of that deployment is known."""

    cost_microusd: float | None = None
    latency_ms: float | None = None
    hit: bool = False
    assumed: bool = False


class Latencies:
    """Recent calls of each deployment to the whole answer, in milliseconds, and hits of the cache."""

    def __init__(self, calls: Mapping[str, Sequence[float]], hits: Sequence[float] = ()) -> None:
        self._calls = {name: sorted(found) for name, found in calls.items() if found}
        self.hit_ms = sorted(hits)[len(hits) // 2] if hits else HIT_MS

    def rank(self, deployment: str, ms: float | None) -> float:
        """The part of its calls that were faster, 0 to 1; the middle if nothing is known."""
        calls = self._calls.get(deployment)
        return MEDIAN if ms is None or not calls else bisect_left(calls, ms) / len(calls)

    def at(self, deployment: str, rank: float) -> float | None:
        calls = self._calls.get(deployment)
        return None if calls is None else calls[min(int(rank * len(calls)), len(calls) - 1)]


def predicted(outcome: Outcome, seen: Seen, latencies: Latencies) -> Predicted:
    first, plan = outcome.first, outcome.plan
    if plan is None or first is None:
        return Predicted()
    if _stays_hit(outcome, seen):
        return Predicted(0.0, seen.latency_ms if seen.hit else latencies.hit_ms, hit=True)
    cost = None
    if seen.tokens_in is not None and seen.tokens_out is not None:
        cost = float(cost_microusd(first, seen.tokens_in, min(seen.tokens_out, plan.max_tokens)))
    if seen.backend_ms is not None and seen.deployment == first.deployment and not seen.hit:
        return Predicted(cost, seen.latency_ms)
    if cost is None:
        return Predicted()
    rank = latencies.rank(seen.deployment, seen.backend_ms)
    measured = latencies.at(first.deployment, rank)
    around = max(0.0, seen.latency_ms - seen.backend_ms) if seen.backend_ms is not None else 0.0
    called = float(first.typical_latency_ms) if measured is None else measured
    return Predicted(cost, around + called, assumed=measured is None)


def _stays_hit(outcome: Outcome, seen: Seen) -> bool:
    assert outcome.plan is not None
    cache = outcome.plan.cache
    if seen.cache == "replay":
        return True  # the first answer to the same Idempotency-Key, whatever the policy says
    if seen.cache == "exact":
        return cache.exact
    return cache.semantic and seen.similarity is not None and seen.similarity >= cache.threshold
