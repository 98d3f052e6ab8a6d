"""Usage from the hourly sums: for pages, reports and the admin API. It costs the same however many traces there were.

All but the present hour is final within a second or so, the time that the trace writer needs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

import orjson
from django.db import connection
from psycopg import sql

from traces.core.latencies import added, percentile

FAILED = ("failed", "limited")  # outcomes that count as failed
NAMES = (
    *("api_key", "key_id", "route", "provider", "deployment", "model", "policy", "policy_version"),
    *("lane", "cache", "outcome", "error_code"),
)
TOTALS = """count(*), sum(requests)::bigint,
coalesce(sum(requests) FILTER (WHERE outcome IN ('failed', 'limited')), 0)::bigint,
coalesce(sum(requests) FILTER (WHERE sample), 0)::bigint, sum(tokens_in)::bigint, sum(tokens_out)::bigint,
sum(cost_microusd)::bigint, sum(saved_microusd)::bigint"""
LATENCIES = "sum(latency)::text, sum(ttft)::text"
NO_LATENCIES = "NULL::text, NULL::text"
PART = "SELECT {tenant} AS tenant, * FROM {table} WHERE hour >= {since} AND hour < {until} AND {which}"

BY_HOUR = """
SELECT hour, outcome, sum(requests)::bigint FROM {table} WHERE hour >= {since} AND hour < {until} AND {which}
GROUP BY hour, outcome
"""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over one group of traces, named by the values that were asked for. ``latency`` and ``ttft``: how many fell
    into each bucket of traces.core.latencies; empty if they were not asked for."""

    names: tuple[Any, ...] = ()
    requests: int = 0
    failed: int = 0
    samples: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_microusd: int = 0
    saved_microusd: int = 0
    latency: tuple[float, ...] = ()
    ttft: tuple[float, ...] = ()

    @property
    def failed_share(self) -> float | None:
        return self.failed / self.requests if self.requests else None

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    @property
    def p50(self) -> float | None:
        return percentile(self.latency, 0.5)

    @property
    def p95(self) -> float | None:
        return percentile(self.latency, 0.95)

    @property
    def p99(self) -> float | None:
        return percentile(self.latency, 0.99)

    @property
    def ttft_p50(self) -> float | None:
        return percentile(self.ttft, 0.5)

    def plus(self, other: "Sums") -> "Sums":
        """Both together, under the name of the first."""
        return Sums(
            self.names,
            self.requests + other.requests,
            self.failed + other.failed,
            self.samples + other.samples,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.cost_microusd + other.cost_microusd,
            self.saved_microusd + other.saved_microusd,
            added(self.latency, other.latency),
            added(self.ttft, other.ttft),
        )


def total(parts: Iterable[Sums], names: tuple[Any, ...] = ()) -> Sums:
    return reduce(Sums.plus, parts, Sums(names))


@dataclass(frozen=True, slots=True)
class Groups:
    """``by``: names of NAMES, ``tenant``, ``hour``, ``day`` (UTC) or ``step``: how many times ``step_s`` seconds an
    hour lies behind ``since``, negative before it. Without ``latencies`` it is twice as fast."""

    by: tuple[str, ...] = ()
    since: datetime | None = None
    step_s: int = 3600
    latencies: bool = True

    def columns(self) -> sql.Composable:
        return sql.SQL("").join(sql.SQL("{}, ").format(self._column(name)) for name in self.by)

    def _column(self, name: str) -> sql.Composable:
        if name == "day":
            return sql.SQL("date_trunc('day', hour, 'UTC')")
        if name == "step" and self.since is not None:
            seconds = sql.SQL("date_part('epoch', hour - {})").format(sql.Literal(self.since))
            return sql.SQL("floor({} / {})::int").format(seconds, sql.Literal(float(self.step_s)))
        if name in (*NAMES, "tenant", "hour"):
            return sql.Identifier(name)
        raise ValueError(f"usage has no column {name!r}")


def usage(
    schemas: Mapping[str, str],
    *,
    since: datetime,
    until: datetime,
    groups: Groups,
    only: Mapping[str, Any] | None = None,
) -> list[Sums]:
    """Of whole hours, UTC: that of ``since`` to the one before ``until``, in the order of their names.

    ``schemas``: schema by the tenant's slug. The caller answers for which tenants somebody may see.
    ``only``: a value, or a list of values, for names of NAMES.
    """
    if not schemas:
        return []
    which = _which(only or {})
    parts = [
        sql.SQL(PART).format(
            tenant=sql.Literal(slug),
            table=sql.Identifier(schema, "traces_usage"),
            since=sql.Literal(since.replace(minute=0, second=0, microsecond=0)),
            until=sql.Literal(until),
            which=which,
        )
        for slug, schema in schemas.items()
    ]
    order = sql.SQL(", ").join(map(sql.Literal, range(1, len(groups.by) + 1)))
    statement = sql.SQL("SELECT {}{}, {} FROM ({}) AS part").format(
        groups.columns(),
        sql.SQL(TOTALS),
        sql.SQL(LATENCIES if groups.latencies else NO_LATENCIES),
        sql.SQL(" UNION ALL ").join(parts),
    )
    if groups.by:
        statement += sql.SQL(" GROUP BY {order} ORDER BY {order}").format(order=order)
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [_usage(row, len(groups.by)) for row in cursor.fetchall() if row[len(groups.by)]]


def requests_by_hour(
    schema: str, *, since: datetime, until: datetime, only: Mapping[str, Any]
) -> list[tuple[datetime, str, int]]:
    """(hour, outcome, requests): the least that can be asked, for lists that look at many hours."""
    statement = sql.SQL(BY_HOUR).format(
        table=sql.Identifier(schema, "traces_usage"),
        since=sql.Literal(since),
        until=sql.Literal(until),
        which=_which(only),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _which(only: Mapping[str, Any]) -> sql.Composable:
    found: list[sql.Composable] = [sql.SQL("true")]
    for name, value in only.items():
        if name not in NAMES:
            raise ValueError(f"usage has no column {name!r}")
        values = list(value) if isinstance(value, list | tuple) else [value]
        found.append(sql.SQL("{} = ANY({})").format(sql.Identifier(name), sql.Literal(values)))
    return sql.SQL(" AND ").join(found)


def _usage(row: Sequence[Any], names: int) -> Sums:
    """After the names and the number of rows come the sums."""
    requests, failed, samples, tokens_in, tokens_out, cost, saved, latency, ttft = row[names + 1 :]
    counted = (_counts(latency), _counts(ttft))
    return Sums(tuple(row[:names]), requests, failed, samples, tokens_in, tokens_out, cost, saved, *counted)


def _counts(vector: str | None) -> tuple[float, ...]:
    return tuple(orjson.loads(vector)) if vector else ()
