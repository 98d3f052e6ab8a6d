"""The figures of the home page, from the traces of one tenant's schema: six statements over a bounded range."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.db import connection

from tenants.usage import soft_quotas_passed
from traces.core import charts
from traces.core.query import TraceQuery, steps
from traces.home.findings import (
    CELLS,
    Deployment,
    Kpi,
    Problem,
    Series,
    Totals,
    bar_url,
    deployments,
    kpis,
    models,
    problems,
    soft_quotas,
)
from traces.models import Trace

STEPS = """
SELECT floor((date_part('epoch', started_at) - %(since)s) / %(width)s)::int,
  outcome, count(*), sum(cost_microusd)::bigint
FROM traces_trace WHERE started_at >= %(from)s AND started_at < %(until)s GROUP BY 1, 2
"""
TOTALS = """
SELECT started_at >= %(from)s AS current, count(*), count(*) FILTER (WHERE outcome IN ('failed', 'limited')),
  sum(cost_microusd)::bigint, sum(saved_microusd)::bigint, count(*) FILTER (WHERE NOT sample),
  percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms), percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms),
  percentile_cont(0.5) WITHIN GROUP (ORDER BY ttft_ms)
FROM traces_trace WHERE started_at >= %(before)s AND started_at < %(until)s GROUP BY 1
"""
LATENCIES = """
SELECT floor((date_part('epoch', started_at) - %(since)s) / %(width)s)::int,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms), percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms)
FROM traces_trace WHERE started_at >= %(from)s AND started_at < %(until)s GROUP BY 1
"""
MODELS = """
SELECT CASE WHEN outcome = 'cached' THEN 'cache' ELSE model END, count(*), sum(cost_microusd)::bigint
FROM traces_trace WHERE started_at >= %(from)s AND started_at < %(until)s AND (outcome = 'cached' OR model <> '')
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 6
"""
ATTEMPTS = """
SELECT attempt->>'deployment', floor((date_part('epoch', started_at) - %(since)s) / %(cell)s)::int, count(*),
  count(*) FILTER (WHERE attempt->>'outcome' = 'failed')
FROM traces_trace,
  jsonb_array_elements(CASE jsonb_typeof(attempts_json) WHEN 'array' THEN attempts_json ELSE '[]' END) attempt
WHERE started_at >= %(from)s AND started_at < %(until)s AND attempt->>'deployment' IS NOT NULL GROUP BY 1, 2
"""
WIDTH, HEIGHT = 600, 180
MOST = 5  # problems that a page can ask somebody to look after


@dataclass(frozen=True, slots=True)
class Figures:
    totals: Totals
    kpis: list[Kpi]
    problems: list[Problem]
    bars: list[dict[str, Any]]
    bars_top: float
    p50: str
    p95: str
    latency_top: float
    axis: list[datetime]
    models: list[dict[str, Any]]
    deployments: list[Deployment]
    cell_s: float
    sample: bool
    own_traffic: bool


def figures(query: TraceQuery, now: datetime) -> Figures:
    width, number = steps(query.since, now, wanted=30)
    span = now - query.since
    values = {"since": query.since.timestamp(), "from": query.since, "before": query.since - span, "until": now}
    values |= {"width": width, "cell": span.total_seconds() / CELLS}
    totals = {found[0]: Totals(*found[1:]) for found in rows(TOTALS, values)}
    current, before = totals.get(True, Totals()), totals.get(False, Totals())
    series = series_of(rows(STEPS, values), rows(LATENCIES, values), number)
    health = deployments(rows(ATTEMPTS, values))
    top = charts.round_top(max((sum(step.values()) for step in series.outcomes), default=0))
    latency_top = charts.round_top(max((value or 0.0 for value in series.p95), default=0.0))
    drawn = charts.bars(series.outcomes, width=WIDTH, height=HEIGHT, top=int(top))
    starts = [query.since + timedelta(seconds=width * index) for index in range(number)]
    return Figures(
        totals=current,
        kpis=kpis(query, current, before, series),
        problems=[*problems(query, current, series, health), *soft_quotas(query, soft_quotas_passed(query.tenant))][
            :MOST
        ],
        bars=[
            {"bar": bar, "start": start, "url": bar_url(query, start, width)}
            for bar, start in zip(drawn, starts, strict=True)
        ],
        bars_top=top,
        p50=charts.line(series.p50, width=WIDTH, height=HEIGHT, top=latency_top),
        p95=charts.line(series.p95, width=WIDTH, height=HEIGHT, top=latency_top),
        latency_top=latency_top,
        axis=[query.since + span * share / 4 for share in range(5)],
        models=models(query, rows(MODELS, values)),
        deployments=health,
        cell_s=span.total_seconds() / CELLS,
        sample=current.requests > current.own,
        own_traffic=current.own > 0 or Trace.objects.filter(sample=False).exists(),
    )


def series_of(counted: Sequence[tuple[Any, ...]], timed: Sequence[tuple[Any, ...]], number: int) -> Series:
    outcomes: list[dict[str, int]] = [{} for _ in range(number)]
    spend = [0] * number
    p50: list[float | None] = [None] * number
    p95: list[float | None] = [None] * number
    for step, outcome, count, cost in counted:
        at = min(max(step, 0), number - 1)
        outcomes[at][outcome] = outcomes[at].get(outcome, 0) + count
        spend[at] += cost
    for step, half, most in timed:
        at = min(max(step, 0), number - 1)
        p50[at], p95[at] = half, most
    return Series(outcomes, spend, p50, p95)


def rows(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cast("list[tuple[Any, ...]]", cursor.fetchall())
