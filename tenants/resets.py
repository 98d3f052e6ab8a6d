"""Taking off by hand what a limit has counted. What is held for requests under way stays held."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import redis
from django.db import connection, transaction

from tenants.auth import limit_of
from tenants.core.limits import Counter, Limit, counter_of
from tenants.models import Quota, QuotaReset, Tenant
from tenants.scripts import EPOCH, LOCK
from tenants.usage import client


class CountersAway(Exception):
    """The counters are being rebuilt: what they say is not true yet."""


@dataclass(frozen=True, slots=True)
class Named:
    """A limit as a person would say it, and whose it is (None: a deployment's)."""

    limit: Limit
    name: str
    tenant: Tenant | None


def named(quota: Quota) -> Named:
    whose = f"key {quota.api_key.name}" if quota.api_key else "all keys"
    return Named(limit_of(quota), f"{quota.tenant.slug}, {whose}: {quota}"[:120], quota.tenant)


def reset(*, limits: Sequence[Named], author: str, now: float, note: str = "") -> list[QuotaReset]:
    """The rows that say what was taken off; a counter that had nothing settled has none.

    A rebuild waits for it, and finds the rows. Raises redis.RedisError, CountersAway or django.db.DatabaseError; then
    nothing was reset.
    """
    taken: list[tuple[Counter, int]] = []
    with client() as server:
        generation = ""
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
                generation = _generation(server)
                found = [(one, *_settled(server, generation, one.limit, now)) for one in limits]
                rows = [_row(one, counter, steps, author, note) for one, counter, steps in found if steps > 0]
                QuotaReset.objects.bulk_create(rows)
                _add(server, generation, [(counter, -steps) for _, counter, steps in found])
                taken = [(counter, steps) for _, counter, steps in found]
        except BaseException:
            _add(server, generation, taken)  # the rows were not kept after all
            raise
    return rows


def _generation(server: "redis.Redis") -> str:
    generation, live = cast(Any, server.hmget(EPOCH, ["g", "live"]))
    if live != b"1":
        raise CountersAway("The counters are being rebuilt. Try again in some seconds.")
    return str(generation.decode())


def _settled(server: "redis.Redis", generation: str, limit: Limit, now: float) -> tuple[Counter, int]:
    counter = counter_of(limit, now)
    return counter, int(cast(Any, server.hget(counter.key, f"s{generation}")) or 0)


def _row(one: Named, counter: Counter, steps: int, author: str, note: str) -> QuotaReset:
    return QuotaReset(
        tenant=one.tenant,
        limit_key=one.limit.name,
        limit_name=one.name,
        window_start=datetime.fromtimestamp(counter.start, UTC),
        amount=steps,
        author=author[:150],
        note=note[:200],
    )


def _add(server: "redis.Redis", generation: str, amounts: Sequence[tuple[Counter, int]]) -> None:
    """All or none."""
    with server.pipeline(transaction=True) as pipeline:
        for counter, steps in amounts:
            if steps:
                pipeline.hincrby(counter.key, f"s{generation}", steps)
        pipeline.execute()
