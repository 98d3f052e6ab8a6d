"""The semantic cache in a tenant's schema. All SQL names the schema; nothing here depends on a search_path."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import numpy as np
import orjson
import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from caching.core.guard import differs
from caching.core.keys import entry_id
from caching.embedders import Vector

NEIGHBOURS = 5
NEAR = 0.1  # below the threshold by no more than this: worth showing
LOOKUP_TIMEOUT_MS = 250
CONNECTION_WAIT_S = 0.05
MOST_WRITES = 32  # that wait

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    id: UUID
    question: str
    answer: bytes  # the JSON of a chat.completion
    source_trace: UUID
    policy: str
    policy_version: int
    deployment: str
    model: str
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    outcome: Literal["hit", "near", "miss"]
    threshold: float
    similarity: float | None = None  # of `entry`, or of the nearest one
    entry: Entry | None = None
    refused_because: str | None = None
    examined: int = 0


# The planner weighs the index on scope with an exact sort (small scopes: complete by nature) against the HNSW index
# (large scopes), which then goes on searching until enough rows of this scope came: without that, a filter starves it.
_LIMITS = sql.SQL(
    "SELECT set_config('statement_timeout', {timeout}, true), set_config('hnsw.iterative_scan', 'strict_order', true)"
).format(timeout=sql.Literal(str(LOOKUP_TIMEOUT_MS)))

_NEAREST = """
SELECT 1 - (embedding OPERATOR(public.<=>) %(vector)s::public.vector), id, question, answer::text, source_trace, policy,
       policy_version, deployment, model, extract(epoch FROM created_at)::float8, extract(epoch FROM expires_at)::float8
FROM {table}
WHERE scope = %(scope)s AND expires_at > %(now)s
ORDER BY embedding OPERATOR(public.<=>) %(vector)s::public.vector
LIMIT %(neighbours)s
"""

_STORE = """
INSERT INTO {table} (id, created_at, expires_at, scope, embedding, question, answer, source_trace, policy,
                     policy_version, deployment, model, hits)
VALUES (%(id)s, %(created_at)s, %(expires_at)s, %(scope)s, %(vector)s::public.vector, %(question)s, %(answer)s::jsonb,
        %(source_trace)s, %(policy)s, %(policy_version)s, %(deployment)s, %(model)s, 0)
ON CONFLICT (id) DO UPDATE SET
    created_at = excluded.created_at, expires_at = excluded.expires_at, embedding = excluded.embedding,
    answer = excluded.answer, source_trace = excluded.source_trace, policy = excluded.policy,
    policy_version = excluded.policy_version, deployment = excluded.deployment, model = excluded.model,
    hits = 0, last_hit_at = NULL
"""

_TOUCH = "UPDATE {table} SET hits = hits + 1, last_hit_at = %(now)s WHERE id = %(id)s"


def semantic_pool(dsn: str) -> AsyncConnectionPool[AsyncConnection[TupleRow]]:
    """Not opened yet. It is for the cache alone: of what it wrote, a crash may lose the last, and each lookup is
    planned by itself. A plan for all scopes would compare every entry of the largest ones (15 ms instead of 1)."""

    async def configure(connection: AsyncConnection[TupleRow]) -> None:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("SET plan_cache_mode = force_custom_plan")

    return AsyncConnectionPool(
        dsn, min_size=0, max_size=4, open=False, timeout=2.0, configure=configure, kwargs={"autocommit": True}
    )


class SemanticCache:
    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[TupleRow]]) -> None:
        self._pool = pool
        self._writing = asyncio.Lock()
        self._writes = 0

    async def lookup(
        self, *, schema: str, scope: bytes, text: str, vector: Vector, threshold: float, now: float
    ) -> Lookup:
        """Never raises for a slow or absent database: that is a miss with its reason."""
        values = {"vector": _written(vector), "scope": scope, "now": _instant(now), "neighbours": NEIGHBOURS}
        try:
            async with asyncio.timeout(CONNECTION_WAIT_S + LOOKUP_TIMEOUT_MS / 1000):
                rows = await self._nearest(schema, values)
        except (psycopg.Error, PoolTimeout, TimeoutError) as error:
            log.warning("semantic lookup failed: %s", type(error).__name__)
            return Lookup(outcome="miss", threshold=threshold, refused_because="the lookup took too long or failed")
        return _best(rows, text, threshold)

    async def _nearest(self, schema: str, values: dict[str, Any]) -> list[TupleRow]:
        async with (
            self._pool.connection(CONNECTION_WAIT_S) as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            await connection.execute(_LIMITS)
            return await (await connection.execute(_on(_NEAREST, schema), values)).fetchall()

    async def store(
        self, *, schema: str, scope: bytes, text: str, vector: Vector, answer: bytes, source_trace: UUID, policy: str,
        policy_version: int, deployment: str, model: str, now: float, ttl_s: float,
    ) -> bool:  # fmt: skip
        """Replaces the entry of the same question in the same scope. False if the answer cannot be kept, or not now."""
        values = {
            "id": entry_id(scope=scope, text=text), "created_at": _instant(now), "expires_at": _instant(now + ttl_s),
            "scope": scope, "vector": _written(vector), "question": text, "answer": answer.decode(),
            "source_trace": source_trace, "policy": policy, "policy_version": policy_version,
            "deployment": deployment, "model": model,
        }  # fmt: skip
        try:
            return await self._write(_on(_STORE, schema), values)
        except psycopg.DataError:  # jsonb holds no NUL and no half of a surrogate pair
            return False

    async def touch(self, *, schema: str, entry: UUID, now: float) -> None:
        await self._write(_on(_TOUCH, schema), {"id": entry, "now": _instant(now)})

    async def _write(self, statement: sql.Composed, values: dict[str, Any]) -> bool:
        """One after the other, so that lookups find a connection: an insert into the index takes longer than they
        wait. False: too many wait already, and what is asked often comes again."""
        if self._writes >= MOST_WRITES:
            return False
        self._writes += 1
        try:
            async with self._writing, self._pool.connection() as connection:
                await connection.execute(statement, values)
        finally:
            self._writes -= 1
        return True


def _best(rows: list[TupleRow], text: str, threshold: float) -> Lookup:
    """The nearest entry that the guard lets pass; else the nearest of all, with what spoke against it."""
    if not rows:
        return Lookup(outcome="miss", threshold=threshold)
    reasons: list[str] = []
    for examined, (similarity, *columns) in enumerate(rows, 1):
        if similarity < threshold:
            break
        entry = _entry(columns)
        reason = differs(entry.question, text)
        if reason is None:
            return Lookup(outcome="hit", threshold=threshold, similarity=similarity, entry=entry, examined=examined)
        reasons.append(reason)
    similarity, *columns = rows[0]
    near = similarity >= threshold - NEAR
    return Lookup(
        outcome="near" if near else "miss",
        threshold=threshold,
        similarity=similarity,
        entry=_entry(columns) if near else None,
        refused_because=reasons[0] if reasons else None,
        examined=len(rows),
    )


def _entry(columns: list[Any]) -> Entry:
    id_, question, answer, source_trace, policy, policy_version, deployment, model, created_at, expires_at = columns
    return Entry(
        id=id_, question=question, answer=answer.encode(), source_trace=source_trace, policy=policy,
        policy_version=policy_version, deployment=deployment, model=model, created_at=created_at, expires_at=expires_at,
    )  # fmt: skip


def _on(statement: str, schema: str) -> sql.Composed:
    return sql.SQL(statement).format(table=sql.Identifier(schema, "caching_semanticentry"))


def _written(vector: Vector) -> str:
    return orjson.dumps(np.ascontiguousarray(vector, np.float32), option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _instant(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)
