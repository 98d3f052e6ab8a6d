"""The copies of one process: how many are under way, what became of them, and how that gets to PostgreSQL.

A copy is under way or it is dropped; none waits, so that a slow candidate gathers no queue and memory stays small.
"""

import asyncio
import logging
from collections import Counter as Tally
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

import psycopg
import redis.asyncio
from prometheus_client import Counter
from psycopg import sql
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from redis.exceptions import RedisError

from routing.core.shadow import Side, Sums, observations
from routing.series import Series
from routing.shadows.arm import ShadowArm
from routing.shadows.budget import Budget

MOST_AT_ONCE = 64  # of all shadows; each holds its request in memory
COUNT_EVERY_S = 2.0
LONGEST = 20_000  # characters of an answer that are kept
DROPPED = "dropped:"
log = logging.getLogger("relay.shadow")

COPIES = Series(
    Counter("relay_shadow_copies", "Copies to shadows: answered, failed, or dropped and why.", ["route", "result"]), 500
)
PAIR = """
INSERT INTO {table} ({columns}) VALUES ({values})
"""
ADD = """
INSERT INTO public.routing_shadowsum AS kept (shadow_id, day, name, n, total, squares)
SELECT added.shadow, added.day, added.name, added.n, added.total, added.squares
FROM unnest(%s::bigint[], %s::date[], %s::text[], %s::bigint[], %s::float8[], %s::float8[])
  AS added (shadow, day, name, n, total, squares)
JOIN public.routing_shadow ON routing_shadow.id = added.shadow
ORDER BY added.shadow, added.day, added.name
ON CONFLICT (shadow_id, day, name) DO UPDATE
SET n = kept.n + excluded.n, total = kept.total + excluded.total, squares = kept.squares + excluded.squares
"""
PAID = "SELECT total FROM public.routing_shadowsum WHERE shadow_id = %s AND day = %s AND name = 'paid_candidate'"
AWAY = (psycopg.Error, PoolTimeout)
Pool = AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]]


@dataclass(frozen=True, slots=True)
class Pair:
    """``about``: the other columns of ``ShadowPair``, by name."""

    schema: str
    base: Side
    candidate: Side
    similarity: float | None
    about: Mapping[str, Any]


class Copies:
    def __init__(self, pool: Pool, client: redis.asyncio.Redis, now: Callable[[], float]) -> None:
        """``now``: epoch seconds."""
        self._pool, self._client, self._now = pool, client, now
        self._tasks: dict[asyncio.Task[None], ShadowArm] = {}
        self._dropped: Tally[tuple[int, date, str]] = Tally()
        self._stopping = False

    def begin(self, arm: ShadowArm, copy: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Never waits."""
        if self._stopping or len(self._tasks) >= MOST_AT_ONCE:
            self.drop(arm, "stopping" if self._stopping else "too_many_here")
            return
        task = asyncio.create_task(self._guarded(arm, copy()))
        self._tasks[task] = arm
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _guarded(self, arm: ShadowArm, copy: Coroutine[Any, Any, None]) -> None:
        try:
            await copy
        except asyncio.CancelledError:
            self.drop(arm, "stopping")
            raise
        except Exception:
            self.drop(arm, "error")
            log.exception("a copy for a shadow failed", extra={"shadow": arm.shadow})

    def drop(self, arm: ShadowArm, why: str) -> None:
        self._dropped[arm.shadow, self.today(), why] += 1
        COPIES.of(arm.route, f"dropped_{why}").inc()

    def today(self) -> date:
        return datetime.fromtimestamp(self._now(), UTC).date()

    def budget(self, arm: ShadowArm) -> Budget:
        day = self.today()

        async def spent_before() -> int:
            try:
                async with self._pool.connection() as connection:
                    found = await (await connection.execute(PAID, [arm.shadow, day])).fetchone()
            except AWAY as error:
                raise OSError("PostgreSQL is away") from error
            return int(found[0]) if found else 0

        return Budget(self._client, arm.shadow, day.isoformat(), spent_before)

    async def keep(self, arm: ShadowArm, pair: Pair) -> None:
        """The pair and its sums, in one transaction."""
        COPIES.of(arm.route, "failed" if pair.candidate.failed else "answered").inc()
        values = {**pair.about, **_columns(pair), "shadow_id": arm.shadow}
        insert = sql.SQL(PAIR).format(
            table=sql.Identifier(pair.schema, "shadows_shadowpair"),
            columns=sql.SQL(", ").join(map(sql.Identifier, values)),
            values=sql.SQL(", ").join(map(sql.Placeholder, values)),
        )
        seen = observations(pair.base, pair.candidate, pair.similarity)
        found = {(arm.shadow, self.today(), name): Sums().plus(value) for name, value in seen.items()}
        try:
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute(insert, values)
                await connection.execute(cast(Any, ADD), _listed(found))
        except AWAY as error:
            log.warning("a shadow's pair could not be kept", extra={"error": type(error).__name__})
            self.drop(arm, "not_kept")

    async def count_forever(self) -> None:
        """Run once in each web process: what was dropped gets to PostgreSQL every two seconds."""
        while True:
            await asyncio.sleep(COUNT_EVERY_S)
            await self.count()

    async def count(self) -> None:
        dropped, self._dropped = self._dropped, Tally()
        if not dropped:
            return
        found = {(shadow, day, f"{DROPPED}{why}"): Sums(n) for (shadow, day, why), n in dropped.items()}
        try:
            async with self._pool.connection() as connection:
                await connection.execute(cast(Any, ADD), _listed(found))
        except AWAY:  # nobody knows whether it was counted; rather twice than not at all
            self._dropped.update(dropped)

    async def stop(self, within_s: float) -> None:
        """Those under way may end; what does not in time is cut off and counted as dropped. Its hold stays counted."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=within_s)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.count()


async def settle(budget: Budget, copy: str, hold: int, actual: int) -> None:
    """Without Redis the hold stays counted: rather too much than too little."""
    with suppress(RedisError, OSError):
        await budget.settle(copy, hold, actual)


def _columns(pair: Pair) -> dict[str, Any]:
    found: dict[str, Any] = {"similarity": pair.similarity}
    for side, values in (("base", pair.base), ("candidate", pair.candidate)):
        found |= {
            f"{side}_failed": values.failed,
            f"{side}_latency_ms": values.latency,
            f"{side}_ttft_ms": values.ttft,
            f"{side}_tokens_out": values.tokens_out,
            f"{side}_cost_microusd": values.cost,
            f"{side}_length": values.length,
        }
    return found


def _listed(found: Mapping[tuple[int, date, str], Sums]) -> list[list[Any]]:
    return [list(column) for column in zip(*((*key, *sums) for key, sums in found.items()), strict=True)]
