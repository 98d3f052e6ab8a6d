"""What a shadow compares: the two sides of one request, sums over many of them, and what the sums say.

Ratios (latency, first token, tokens, cost, length) are compared by their logarithms within each pair, so that short and
long requests count alike and the mean is that of “how many times as much”. Sums are all that is kept of a figure: they
add up over processes, days and tenants.
"""

from collections.abc import Mapping
from math import exp, log, sqrt
from typing import NamedTuple

from traces.draft import TraceDraft

Z = 1.96  # of a 95 % interval
ENOUGH = 30  # pairs from which on a mean is nearly normal
RATIOS = ("latency", "ttft", "tokens_out", "cost", "length")
CALLED = ("ok", "fell_back", "failed")


class Side(NamedTuple):
    """Milliseconds of the call itself, without queue; micro-dollars; characters. None: not known, or it failed."""

    failed: bool
    latency: float | None = None
    ttft: float | None = None
    tokens_out: int | None = None
    cost: int = 0
    length: int | None = None


class Sums(NamedTuple):
    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def plus(self, value: float) -> "Sums":
        return Sums(self.n + 1, self.total + value, self.squares + value * value)


class Interval(NamedTuple):
    """A mean with its 95 % interval; ``low`` and ``high`` are None below ENOUGH values."""

    mean: float
    low: float | None
    high: float | None


class Row(NamedTuple):
    """One line of the comparison. ``base`` and ``candidate`` are typical values, ``change`` is by how many times the
    candidate's is larger (a difference for “failed”)."""

    name: str
    n: int
    base: float
    candidate: float
    change: Interval


def is_comparable(draft: TraceDraft) -> bool:
    """Whether a provider was asked and the client stayed: cached and replayed answers, refusals and departures say
    nothing of what a call is like."""
    return draft.outcome in CALLED and any(one["outcome"] != "cancelled" for one in draft.attempts_json)


def base_of(draft: TraceDraft, length: int | None) -> Side:
    """The client's own side: the attempt that answered, as the candidate's call is measured."""
    if draft.outcome == "failed":
        return Side(True, cost=draft.cost_microusd)
    answered = next((one for one in reversed(draft.attempts_json) if one["outcome"] == "answered"), None)
    latency = answered["duration_ms"] if answered else None
    ttft = draft.ttft_ms - answered["start_ms"] if answered and draft.ttft_ms is not None else None
    return Side(False, latency, ttft, draft.tokens_out, draft.cost_microusd, length)


def observations(base: Side, candidate: Side, similarity: float | None) -> dict[str, float]:
    """What one pair adds to which sum. Costs are always in, since they were paid."""
    found = {
        "failed": float(candidate.failed) - float(base.failed),
        "failed_base": float(base.failed),
        "failed_candidate": float(candidate.failed),
        "paid_base": float(base.cost),
        "paid_candidate": float(candidate.cost),
    }
    if base.failed or candidate.failed:
        return found
    for name in RATIOS:
        ours, theirs = getattr(base, name), getattr(candidate, name)
        if ours and theirs and ours > 0 and theirs > 0:
            found |= {name: log(theirs / ours), f"{name}_base": log(ours), f"{name}_candidate": log(theirs)}
    return found if similarity is None else {**found, "similarity": similarity}


def interval(sums: Sums) -> Interval:
    mean = sums.total / sums.n
    if sums.n < ENOUGH:
        return Interval(mean, None, None)
    half = Z * sqrt(max(0.0, sums.squares / sums.n - mean * mean) / (sums.n - 1))
    return Interval(mean, mean - half, mean + half)


def rows_of(sums: Mapping[str, Sums]) -> list[Row]:
    """Failures, then each ratio of which something is known."""
    rows = []
    if failed := sums.get("failed"):
        change = interval(failed)
        if not failed.squares and change.low is not None:  # the rule of three: never seen is not never
            change = Interval(0.0, -3 / failed.n, 3 / failed.n)
        rows.append(Row("failed", failed.n, _mean(sums["failed_base"]), _mean(sums["failed_candidate"]), change))
    for name in RATIOS:
        if found := sums.get(name):
            base, candidate = exp(_mean(sums[f"{name}_base"])), exp(_mean(sums[f"{name}_candidate"]))
            rows.append(Row(name, found.n, base, candidate, _times(interval(found))))
    return rows


def _mean(sums: Sums) -> float:
    return sums.total / sums.n


def _times(change: Interval) -> Interval:
    return Interval(*(None if value is None else exp(value) for value in change))  # type: ignore[arg-type]


def verdict(row: Row) -> str:
    """“better”, “worse”, “same” (no difference is shown) or “open” (too few pairs). Less is better but for tokens and
    length, of which more or less is neither."""
    low, high, even = row.change.low, row.change.high, 0.0 if row.name == "failed" else 1.0
    if low is None or high is None:
        return "open"
    if low <= even <= high:
        return "same"
    if row.name in ("tokens_out", "length"):
        return "differs"
    return "worse" if low > even else "better"
