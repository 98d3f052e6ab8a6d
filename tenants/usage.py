"""What is used of limits right now, for pages and commands; requests know it from their own hold."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import redis
from django.conf import settings

from tenants.auth import limit_of
from tenants.core.limits import Counter, Limit, counter_of
from tenants.core.spend import Left, left_of, runs_out_at
from tenants.models import Quota
from tenants.scripts import EPOCH, READ

TIMEOUT_S = 1.0  # a page is not to wait for a Redis that is away


@dataclass(frozen=True, slots=True)
class Use:
    """``settled`` in the counter's steps: what a reset would take off. ``runs_out_at`` in epoch seconds."""

    counter: Counter
    left: Left
    settled: int
    runs_out_at: float | None

    @property
    def percent(self) -> int:
        return min(100, round(100 * self.left.used / self.left.limit.limit))


@contextmanager
def client() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as made:
        yield made


def uses(limits: Sequence[Limit], now: float | None = None) -> list[Use] | None:
    """In the order of the limits; None if it is not known now: Redis is away, or its counters are being rebuilt."""
    now = time.time() if now is None else now
    counters = [counter_of(limit, now) for limit in limits]
    if not counters:
        return []
    try:
        with client() as redis_:
            keys = [EPOCH, *(counter.key for counter in counters)]
            _, _, live, found = cast(Any, redis_.eval(READ.text, len(keys), *keys))
    except redis.RedisError:
        return None
    if live != b"1":
        return None
    return [_use(counter, used, settled, now) for counter, (used, settled) in zip(counters, found, strict=True)]


def _use(counter: Counter, used: int, settled: int, now: float) -> Use:
    left = left_of(counter.limit, used, max(1, int(counter.end - now) + 1))
    return Use(counter, left, settled, runs_out_at(left, start=counter.start, now=now))


def soft_quotas_passed(tenant: str) -> list[Left]:
    """Soft quotas of a tenant that are used up in their present window; none if that is not known."""
    soft = Quota.objects.filter(tenant__slug=tenant, hard=False).select_related("tenant", "api_key")
    return [use.left for use in uses(list(map(limit_of, soft))) or () if use.left.used > use.left.limit.limit]
