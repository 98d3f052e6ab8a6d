"""Latencies as counts in buckets that grow by the sixth root of 2: any percentile of any sum of them, within 6 %."""

from collections.abc import Sequence

BUCKETS = 120  # the first begins at 1 ms and holds all below, the last begins at 15 min and holds all above
PER_DOUBLING = 6


def lower_bound(bucket: int) -> float:
    """In milliseconds."""
    return float(2 ** (bucket / PER_DOUBLING))


def percentile(counts: Sequence[float], share: float) -> float | None:
    """In milliseconds; None if nothing was counted. Inside a bucket, values are taken as evenly spread."""
    total = sum(counts)
    if total <= 0:
        return None
    rank, before = share * total, 0.0
    for bucket, count in enumerate(counts):
        if count and before + count >= rank:
            low = lower_bound(bucket)
            return low + (lower_bound(bucket + 1) - low) * (rank - before) / count
        before += count
    return lower_bound(len(counts))


def added(one: Sequence[float], other: Sequence[float]) -> tuple[float, ...]:
    """Of all that either counted; an empty one counted nothing."""
    return tuple(one or other) if not (one and other) else tuple(a + b for a, b in zip(one, other, strict=True))
