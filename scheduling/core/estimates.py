"""What a request that has to wait is told: how long it will take, whether it is shortened, when to come back."""

from collections.abc import Mapping
from math import ceil

from scheduling.core.fairness import FairQueue

UNKNOWN_SERVICE_S = 1.0
"""Assumed until the first request of a lane was served."""


def smoothed(before: float | None, sample: float, weight: float = 0.2) -> float:
    """Exponentially weighted moving average; the first sample stands for itself."""
    return sample if before is None else before + weight * (sample - before)


def predicted_wait_s(
    queue: FairQueue, lane: str, tenant: str, *, slots: int, service_s: Mapping[str, float], running: int
) -> float:
    """Work ahead / slots, for a request of this tenant that joins the queue now.

    Ahead of it: the tenant's own tickets in the lane, and of each other tenant at most as many as it has turns itself.
    Other lanes slow it down by their weight, but not by more work than they have. When all slots are taken, the
    first one comes free after a share of a service time.
    """
    own_service = service_s.get(lane, UNKNOWN_SERVICE_S)
    by_tenant = queue.depths_by_tenant(lane)
    own = by_tenant.pop(tenant, 0)
    ahead = (own + sum(min(count, own + 1) for count in by_tenant.values())) * own_service
    depths = queue.depths()
    others = {other: count for other, count in depths.items() if other != lane}
    backlog = sum(count * service_s.get(other, UNKNOWN_SERVICE_S) for other, count in others.items())
    rival_weight = sum(queue.weights[other] for other in others)
    work = ahead + min(backlog, (ahead + own_service) * rival_weight / queue.weights[lane])
    residual = own_service if running >= slots else 0.0
    return (work + residual) / max(1, slots)


def retry_after_s(predicted_s: float) -> int:
    return max(1, min(60, ceil(predicted_s)))


def degraded_tokens(max_tokens: int | None, degraded_max_tokens: int) -> int:
    """Never raises what was asked for."""
    return degraded_max_tokens if max_tokens is None else min(max_tokens, degraded_max_tokens)
