"""What tenants used: one row a day (UTC), tenant and model, from the hourly sums; newest day first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection
from psycopg import sql

from tenants.models import Tenant

MOST_DAYS = 92
COLUMNS = (
    "day",
    "tenant",
    "model",
    "requests",
    "failed",
    "cached",
    "tokens_in",
    "tokens_out",
    "cost_microusd",
    "saved_microusd",
)
OF_TENANT = sql.SQL("""
SELECT (hour AT TIME ZONE 'UTC')::date AS day, {slug}::text AS tenant, model, sum(requests)::bigint AS requests,
  coalesce(sum(requests) FILTER (WHERE outcome IN ('failed', 'limited')), 0)::bigint AS failed,
  coalesce(sum(requests) FILTER (WHERE outcome = 'cached'), 0)::bigint AS cached,
  sum(tokens_in)::bigint AS tokens_in, sum(tokens_out)::bigint AS tokens_out,
  sum(cost_microusd)::bigint AS cost_microusd, sum(saved_microusd)::bigint AS saved_microusd
FROM {table} WHERE hour >= {since} AND hour < {until} GROUP BY 1, 3
""")
PAGE = sql.SQL("""
SELECT * FROM ({parts}) AS used
WHERE {after}::date IS NULL OR day < {after} OR (day = {after} AND (tenant, model) > ({tenant}, {model}))
ORDER BY day DESC, tenant, model LIMIT {limit}
""")


@dataclass(frozen=True, slots=True)
class Place:
    """The row after which a page begins."""

    day: date
    tenant: str
    model: str


def usage(
    *, tenants: Sequence[Tenant], first: date, last: date, after: Place | None = None, limit: int
) -> list[dict[str, Any]]:
    """Days ``first`` to ``last``, both included. ``model`` is empty where no model answered."""
    if not tenants:
        return []
    since = datetime.combine(first, time(), UTC)
    until = datetime.combine(last, time(), UTC) + timedelta(days=1)
    parts = [
        OF_TENANT.format(
            slug=sql.Literal(one.slug),
            table=sql.Identifier(one.schema_name, "traces_usage"),
            since=sql.Literal(since),
            until=sql.Literal(until),
        )
        for one in tenants
    ]
    page = PAGE.format(
        parts=sql.SQL(" UNION ALL ").join(parts),
        after=sql.Literal(after.day if after else None),
        tenant=sql.Literal(after.tenant if after else ""),
        model=sql.Literal(after.model if after else ""),
        limit=sql.Literal(limit),
    )
    with connection.cursor() as cursor:
        cursor.execute(page)
        return [dict(zip(COLUMNS, row, strict=True)) for row in cursor.fetchall()]
