"""The figures of one tenant's home page, from the hourly sums: a few statements, however many traces there were."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.db import connection
from psycopg import sql

from tenants.models import Tenant
from tenants.usage import Use, soft_quotas_passed
from traces.core import charts
from traces.core.periods import Period
from traces.core.query import TraceQuery, read_query, stamp
from traces.home.findings import (
    Deployment,
    Kpi,
    Problem,
    bar_url,
    deployments,
    kpis,
    models,
    problems,
    soft_quotas,
)
from traces.home.quotas import tightest
from traces.home.series import Series, days_of, grouped, series_of
from traces.models import Usage
from traces.usage import Groups, Sums, total, usage

ATTEMPTS = """
SELECT deployment, floor(extract(epoch FROM hour - %(since)s) / %(width)s)::int, sum(attempts)::bigint,
  sum(failed)::bigint
FROM {table} WHERE hour >= %(since)s AND hour < %(until)s GROUP BY 1, 2
"""
WIDTH, HEIGHT = 600, 180
MOST = 5  # problems that a page can ask somebody to look after


@dataclass(frozen=True, slots=True)
class Charts:
    """Requests by outcome and latencies over a period; ``p50`` and ``p95`` are SVG paths."""

    bars: list[dict[str, Any]]
    bars_top: float
    p50: str
    p95: str
    latency_top: float
    axis: list[datetime]


@dataclass(frozen=True, slots=True)
class Figures:
    totals: Sums
    kpis: list[Kpi]
    problems: list[Problem]
    charts: Charts
    models: list[dict[str, Any]]
    providers: list[Sums]
    days: list[Sums]
    quotas: list[Use] | None
    deployments: list[Deployment]
    cell_s: float
    sample: bool
    own_traffic: bool


def figures(tenant: Tenant, period: Period, now: datetime) -> Figures:
    """The links lead to the traces of just these figures."""
    parts = by_step({tenant.slug: tenant.schema_name}, period)
    during = [one for one in parts if one.names[0] >= 0]
    current, before = total(during), total(one for one in parts if one.names[0] < 0)
    series, query = series_of(during, period), traces_of(tenant, period, now)
    health = deployments(attempts(tenant, period), period.steps)
    routed = by_model({tenant.slug: tenant.schema_name}, period)
    found = [*problems(query, current, series, health), *soft_quotas(query, soft_quotas_passed(tenant.slug))]
    return Figures(
        totals=current,
        kpis=kpis(query, current, before, series),
        problems=found[:MOST],
        charts=charts_of(series, period, query),
        models=models(query, grouped(routed, lambda one: "cache" if one.names[0] == "cached" else one.names[2])),
        providers=[one for one in grouped(routed, lambda one: one.names[1]) if one.names[0]],
        days=days_of(during, period),
        quotas=tightest(tenant),
        deployments=health,
        cell_s=period.width.total_seconds(),
        sample=current.samples > 0,
        own_traffic=current.requests > current.samples or Usage.objects.filter(sample=False).exists(),
    )


def by_step(schemas: Mapping[str, str], period: Period) -> list[Sums]:
    """By step and outcome, over the period and, with negative steps, the same time before."""
    groups = Groups(by=("step", "outcome"), since=period.since, step_s=int(period.width.total_seconds()))
    return usage(schemas, since=period.before, until=period.until, groups=groups)


def by_model(schemas: Mapping[str, str], period: Period) -> list[Sums]:
    """By outcome, provider and model."""
    return usage(schemas, since=period.since, until=period.until, groups=Groups(by=("outcome", "provider", "model")))


def attempts(tenant: Tenant, period: Period) -> list[tuple[str, int, int, int]]:
    """(deployment, step, attempts, failed ones)."""
    values: dict[str, Any] = {"since": period.since, "until": period.until, "width": period.width.total_seconds()}
    table = sql.Identifier(tenant.schema_name, "traces_attempts")
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(ATTEMPTS).format(table=table), values)
        return cast("list[tuple[str, int, int, int]]", cursor.fetchall())


def traces_of(tenant: Tenant, period: Period, now: datetime) -> TraceQuery:
    given = {"range": "custom", "from": stamp(period.since), "to": stamp(period.until)}
    return read_query(given, tenant=tenant.slug, now=now)


def charts_of(series: Series, period: Period, query: TraceQuery) -> Charts:
    top = charts.round_top(max((sum(step.values()) for step in series.outcomes), default=0))
    latency_top = charts.round_top(max((value or 0.0 for value in series.p95), default=0.0))
    drawn = charts.bars(series.outcomes, width=WIDTH, height=HEIGHT, top=int(top))
    return Charts(
        bars=[
            {"bar": bar, "start": start, "url": bar_url(query, start, int(period.width.total_seconds()))}
            for bar, start in zip(drawn, period.starts(), strict=True)
        ],
        bars_top=top,
        p50=charts.line(series.p50, width=WIDTH, height=HEIGHT, top=latency_top),
        p95=charts.line(series.p95, width=WIDTH, height=HEIGHT, top=latency_top),
        latency_top=latency_top,
        axis=[period.since + (period.until - period.since) * share / 4 for share in range(5)],
    )
