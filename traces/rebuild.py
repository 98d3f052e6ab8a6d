"""The ledger's counters made anew from PostgreSQL, which is the truth, after Redis lost them or may have."""

import time
from collections import Counter as Sums
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain
from typing import Any, cast

import redis
from django.db import connection
from psycopg import sql

from tenants.core.limits import Counter, Limit, counter_of
from tenants.models import QuotaReset, Tenant
from tenants.scripts import BEGIN, COUNTERS, EPOCH, INSTALL, LOCK, Script
from traces.core.charges import charged
from traces.core.rows import Unreadable, began_at, read_entry
from traces.recent import AGAIN, FIELD
from traces.recorder import DEAD, STREAM
from traces.store import KNOWN

GRACE_S = 0.75  # in which every process notices the new generation and says what it holds
JUST_ENDED_S = 5  # windows that ended so lately are counted, too: their requests may still come
LOCK_TIMEOUT_MS = 10_000
PAGE = 500
OF_CALLERS = sql.SQL("""
SELECT key_id, sum(charged_requests)::bigint, sum(charged_tokens)::bigint, sum(cost_microusd)::bigint
FROM {table} WHERE started_at >= to_timestamp(%s) AND started_at < to_timestamp(%s) AND NOT sample GROUP BY 1
""")
OF_DEPLOYMENTS = sql.SQL("""
SELECT attempt->>'deployment', sum((attempt->'charged'->>'requests')::bigint)::bigint,
  sum((attempt->'charged'->>'tokens')::bigint)::bigint, sum((attempt->'charged'->>'cost')::bigint)::bigint,
  sum((attempt->'charged'->>'neurons')::bigint)::bigint
FROM {table},
  jsonb_array_elements(CASE jsonb_typeof(attempts_json) WHEN 'array' THEN attempts_json ELSE '[]' END) attempt
WHERE started_at >= to_timestamp(%s) AND started_at < to_timestamp(%s) AND NOT sample
  AND attempt->>'deployment' = ANY(%s) AND attempt ? 'charged'
  AND attempt->'own_account' IS DISTINCT FROM 'true' GROUP BY 1
""")
METRICS = ("requests", "tokens", "cost", "neurons")
Range = tuple[int, int]


def rebuild(client: redis.Redis, limits: Sequence[Limit], *, grace_s: float = GRACE_S) -> bool:
    """False if another process had done it already. Takes at least ``grace_s``: not for an event loop.

    Raises redis.RedisError or django.db.DatabaseError; then the counters stay closed, and anybody may try again.
    """
    with _alone():
        run_id = str(cast(Any, client.info("server"))["run_id"])
        run, live = cast(Any, client.hmget(EPOCH, ["run", "live"]))
        if (run, live) == (run_id.encode(), b"1"):
            return False
        generation, last = _run(client, BEGIN, [EPOCH, STREAM], run_id)
        ready_at, now = time.monotonic() + grace_s, time.time()
        counters = sorted(
            {counter_of(limit, at) for limit in limits for at in (now, now - JUST_ENDED_S)}, key=lambda one: one.key
        )
        sums = _sums(client, counters, last.decode(), ready_at)
        values = [value for one in counters if sums[one] for value in (sums[one], one.expires)]
        keys = [one.key for one in counters if sums[one]]
        if not _run(client, INSTALL, [EPOCH, COUNTERS, *keys], run_id, generation, *values):
            raise redis.RedisError("Redis lost its data again")
        _hand_on(client)
    return True


@contextmanager
def _alone() -> Iterator[None]:
    """The lock is the session's, so the connection ends with it: also a process that dies lets go."""
    with closing(connection):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [str(LOCK_TIMEOUT_MS)])
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield


def _run(client: redis.Redis, script: Script, keys: list[str], *arguments: Any) -> Any:
    return client.eval(script.text, len(keys), *keys, *arguments)


def _sums(client: redis.Redis, counters: Sequence[Counter], last: str, ready_at: float) -> Sums[Counter]:
    """Rows first: what leaves the stream meanwhile was committed before the lock was taken."""
    sums: Sums[Counter] = Sums()
    for tenant in Tenant.objects.exclude(schema_name="public"):
        table = sql.Identifier(tenant.schema_name, "traces_trace")
        _add_of_callers(sums, table, [one for one in counters if one.limit.tenant == tenant.slug])
        _add_of_deployments(sums, table, [one for one in counters if one.limit.deployment])
    concerned: dict[str, list[Counter]] = defaultdict(list)  # by tenant; deployments serve all
    for one in counters:
        concerned[one.limit.tenant].append(one)
    for record in _unstored(client, last, ready_at):
        for one in chain(concerned[record["tenant"]], concerned[""]):
            sums[one] += charged(record, one)
    starts = {(one.limit.name, datetime.fromtimestamp(one.start, UTC)): one for one in counters}
    for reset in QuotaReset.objects.filter(
        limit_key__in={key for key, _ in starts}, window_start__in={start for _, start in starts}
    ):
        if counter := starts.get((reset.limit_key, reset.window_start)):
            sums[counter] -= reset.amount
    return sums


def _add_of_callers(sums: Sums[Counter], table: sql.Identifier, counters: Sequence[Counter]) -> None:
    for span in {(one.start, one.end) for one in counters}:
        for key_id, *values in _rows(OF_CALLERS.format(table=table), span):
            used = dict(zip(METRICS, values, strict=False))
            for one in counters:
                if (one.start, one.end) == span and one.limit.api_key in ("", key_id):
                    sums[one] += used[one.limit.metric]


def _add_of_deployments(sums: Sums[Counter], table: sql.Identifier, counters: Sequence[Counter]) -> None:
    names = sorted({one.limit.deployment for one in counters})
    for span in {(one.start, one.end) for one in counters}:
        for name, *values in _rows(OF_DEPLOYMENTS.format(table=table), (*span, names)):
            used = dict(zip(METRICS, values, strict=True))
            for one in counters:
                if (one.start, one.end) == span and one.limit.deployment == name:
                    sums[one] += used[one.limit.metric]


def _rows(statement: sql.Composed, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _unstored(client: redis.Redis, last: str, ready_at: float) -> Iterator[Mapping[str, Any]]:
    """Traces of the stream up to ``last``, those set aside and those said again, that are not rows; each once."""
    seen: set[str] = set()
    for entries in chain(_pages(client, STREAM, last), _pages(client, DEAD, "+"), _said_again(client, ready_at)):
        records = {}
        for _, fields in entries:
            try:
                record = read_entry(fields.get(FIELD.encode(), b""))
            except Unreadable:
                continue  # nothing that was settled
            records[str(record["id"])] = record
        fresh = {name: record for name, record in records.items() if name not in seen}
        seen.update(fresh)
        known = _known(fresh.values())
        yield from (record for name, record in fresh.items() if name not in known)


def _pages(client: redis.Redis, stream: str, last: str) -> Iterator[list[tuple[bytes, dict[bytes, bytes]]]]:
    start = "-"
    while found := cast(list[tuple[bytes, dict[bytes, bytes]]], client.xrange(stream, start, last, count=PAGE)):
        yield found
        start = f"({found[-1][0].decode()}"


def _said_again(client: redis.Redis, ready_at: float) -> Iterator[list[tuple[bytes, dict[bytes, bytes]]]]:
    """Once every process had the time to say it."""
    time.sleep(max(0.0, ready_at - time.monotonic()))
    yield from _pages(client, AGAIN, "+")


def _hand_on(client: redis.Redis) -> None:
    """To the writer, which stores what it does not know yet."""
    for entries in _pages(client, AGAIN, "+"):
        with client.pipeline(transaction=True) as pipeline:
            for entry_id, fields in entries:
                pipeline.xadd(STREAM, cast(Any, fields))
                pipeline.xdel(AGAIN, entry_id)
            pipeline.execute()


def _known(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """Ids of those that are rows. A record whose tenant does not exist can have none."""
    by_schema: dict[str, dict[str, float]] = {}
    for record in records:
        with suppress(Unreadable):  # that can be no row either
            by_schema.setdefault(record["schema"], {})[record["id"]] = began_at(record)
    existing = Tenant.objects.filter(schema_name__in=by_schema).values_list("schema_name", flat=True)
    found: set[str] = set()
    for schema in existing:
        table = sql.Identifier(schema, "traces_trace")
        began = by_schema[schema]
        values = [list(began), min(began.values()), max(began.values())]
        found.update(name for (name,) in _rows(KNOWN.format(table=table), values))
    return found
