"""Figures of the home page, from the traces of one tenant's schema; and for staff one line a tenant."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.urls import reverse
from psycopg import sql

from tenants.models import Tenant
from traces.core import charts, formats
from traces.core.query import RANGES, TraceQuery, steps
from traces.models import Trace

CELLS = 48
FAILING = 0.05  # share of attempts from which a deployment needs attention
FAILED = ("failed",)
SERIES = """
SELECT floor((date_part('epoch', started_at) - %(since)s) / %(width)s)::int, outcome, count(*), sum(cost_microusd)::bigint
FROM traces_trace WHERE started_at >= %(from)s AND started_at < %(until)s GROUP BY 1, 2
"""
TOTALS = """
SELECT started_at >= %(from)s AS current, count(*), count(*) FILTER (WHERE outcome IN ('failed', 'limited')),
  sum(cost_microusd)::bigint, sum(saved_microusd)::bigint, count(*) FILTER (WHERE NOT sample),
  percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency_ms),
  percentile_cont(0.5) WITHIN GROUP (ORDER BY ttft_ms)
FROM traces_trace WHERE started_at >= %(before)s AND started_at < %(until)s GROUP BY 1
"""
LATENCIES = """
SELECT floor((date_part('epoch', started_at) - %(since)s) / %(width)s)::int,
  percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency_ms)
FROM traces_trace WHERE started_at >= %(from)s AND started_at < %(until)s AND outcome NOT IN ('limited', 'rejected') GROUP BY 1
"""
MODELS = """
SELECT CASE WHEN outcome = 'cached' THEN 'cache' ELSE model END, count(*), sum(cost_microusd)::bigint
FROM traces_trace WHERE started_at >= %(from)s AND started_at < %(until)s AND (outcome = 'cached' OR model <> '')
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 6
"""
ATTEMPTS = """
SELECT a->>'deployment', floor((date_part('epoch', started_at) - %(since)s) / %(cell)s)::int, count(*),
  count(*) FILTER (WHERE a->>'outcome' = 'failed')
FROM traces_trace, jsonb_array_elements(CASE WHEN jsonb_typeof(attempts_json) = 'array' THEN attempts_json ELSE '[]' END) a
WHERE started_at >= %(from)s AND started_at < %(until)s AND a->>'deployment' IS NOT NULL GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Kpi:
    label: str
    value: str
    delta: str
    better: bool | None
    note: str
    path: str  # of a sparkline, 100 x 28
    url: str


@dataclass(frozen=True, slots=True)
class Problem:
    icon: str
    tone: str
    title: str
    effect: str
    action: str
    url: str


@dataclass(frozen=True, slots=True)
class Deployment:
    name: str
    cells: tuple[str, ...]  # ok | some | failed | none
    attempts: int
    failed: int

    @property
    def health(self) -> str:
        share = self.failed / self.attempts if self.attempts else 0
        return "Failing" if share >= 0.5 else "Degraded" if share >= FAILING else "Healthy"


@dataclass(frozen=True, slots=True)
class Totals:
    requests: int = 0
    failed: int = 0
    spend: int = 0
    saved: int = 0
    own: int = 0
    p50: float | None = None
    p95: float | None = None
    ttft: float | None = None

    @property
    def failed_share(self) -> float | None:
        return self.failed / self.requests if self.requests else None


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
    width_s: int
    models: list[dict[str, Any]]
    deployments: list[Deployment]
    cell_s: float
    sample: bool
    own_traffic: bool


def figures(query: TraceQuery, now: datetime) -> Figures:
    width, number = steps(query.since, now, wanted=30)
    span = now - query.since
    cell = span.total_seconds() / CELLS
    values = {"since": query.since.timestamp(), "from": query.since, "before": query.since - span, "until": now}
    values |= {"width": width, "cell": cell}
    outcomes: list[dict[str, int]] = [{} for _ in range(number)]
    spend = [0] * number
    for step, outcome, count, cost in rows(SERIES, values):
        at = min(max(step, 0), number - 1)
        outcomes[at][outcome] = outcomes[at].get(outcome, 0) + count
        spend[at] += cost
    totals = {
        current: Totals(*found[:5], *(found[5] or (None, None)), found[6]) for current, *found in rows(TOTALS, values)
    }
    latencies: list[tuple[float | None, float | None]] = [(None, None)] * number
    for step, found in rows(LATENCIES, values):
        latencies[min(max(step, 0), number - 1)] = found
    current, before = totals.get(True, Totals()), totals.get(False, Totals())
    highest = max((sum(step.values()) for step in outcomes), default=0)
    top = charts.round_top(highest)
    latency_top = charts.round_top(max((p95 or 0 for _, p95 in latencies), default=0))
    drawn = charts.bars(outcomes, width=600, height=180, top=int(top))
    starts = [query.since + timedelta(seconds=width * index) for index in range(number)]
    health = deployments(rows(ATTEMPTS, values))
    own = current.own > 0 or Trace.objects.filter(sample=False).exists()
    return Figures(
        totals=current,
        kpis=kpis(query, current, before, outcomes, [p95 for _, p95 in latencies], spend),
        problems=problems(query, current, outcomes, health),
        bars=[
            {"bar": bar, "start": start, "url": bar_url(query, start, width)}
            for bar, start in zip(drawn, starts, strict=True)
        ],
        bars_top=top,
        p50=charts.line([p50 for p50, _ in latencies], width=600, height=180, top=latency_top),
        p95=charts.line([p95 for _, p95 in latencies], width=600, height=180, top=latency_top),
        latency_top=latency_top,
        axis=[query.since + span * share / 4 for share in range(5)],
        width_s=width,
        models=models(query, rows(MODELS, values)),
        deployments=health,
        cell_s=cell,
        sample=current.requests > current.own,
        own_traffic=own,
    )


def rows(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def traces_url(query: TraceQuery, **changes: str) -> str:
    return reverse("traces:list") + query.url(**changes)


def bar_url(query: TraceQuery, start: datetime, width: int) -> str:
    stamps = [moment.strftime("%Y-%m-%dT%H:%M:%S") for moment in (start, start + timedelta(seconds=width))]
    return traces_url(query, range="custom", **{"from": stamps[0], "to": stamps[1]})


def kpis(
    query: TraceQuery,
    now: Totals,
    before: Totals,
    outcomes: Sequence[dict[str, int]],
    p95: Sequence[float | None],
    *spends: Sequence[int],
) -> list[Kpi]:
    spend = spends[0]
    failed = [step.get("failed", 0) + step.get("limited", 0) for step in outcomes]
    share, share_before = now.failed_share, before.failed_share
    url = traces_url(query)

    def spark(values: Sequence[float | None]) -> str:
        return charts.line(values, width=100, height=28)

    first = f"p50 {formats.duration(now.p50)} · first token p50 {formats.duration(now.ttft)}"
    return [
        Kpi(
            "Requests",
            formats.count(now.requests),
            formats.change(now.requests, before.requests),
            None,
            f"{formats.count(before.requests)} in the period before",
            spark([sum(step.values()) for step in outcomes]),
            url,
        ),
        Kpi(
            "p95 latency",
            formats.duration(now.p95),
            formats.change_in_duration(now.p95, before.p95),
            less(now.p95, before.p95),
            first,
            spark(p95),
            url,
        ),
        Kpi(
            "Failed",
            formats.percent(share),
            formats.change_in_points(share, share_before),
            less(share, share_before),
            f"{now.failed:,} of {now.requests:,} · limited included",
            spark(failed),
            traces_url(query, outcome="failed,limited"),
        ),
        Kpi(
            "Spend",
            formats.money(now.spend),
            formats.change(now.spend, before.spend),
            less(now.spend, before.spend),
            f"cache saved {formats.money(now.saved)}",
            spark(spend),
            url,
        ),
    ]


def less(now: float | None, before: float | None) -> bool | None:
    return None if now is None or before is None or now == before else now < before


def models(query: TraceQuery, found: Sequence[tuple[str, int, int]]) -> list[dict[str, Any]]:
    most = max((count for _, count, _ in found), default=0)
    return [
        {
            "name": name,
            "count": count,
            "spend": spend,
            "most": most,
            "url": traces_url(query, outcome="cached") if name == "cache" else traces_url(query, model=name),
        }
        for name, count, spend in found
    ]


def deployments(found: Sequence[tuple[str, int, int, int]]) -> list[Deployment]:
    cells: dict[str, list[tuple[int, int]]] = defaultdict(lambda: [(0, 0)] * CELLS)
    for name, cell, attempts, failed in found:
        at = min(max(cell, 0), CELLS - 1)
        had, bad = cells[name][at]
        cells[name][at] = (had + attempts, bad + failed)
    return [
        Deployment(name, tuple(state(*cell) for cell in row), sum(had for had, _ in row), sum(bad for _, bad in row))
        for name, row in sorted(cells.items())
    ]


def state(attempts: int, failed: int) -> str:
    if not attempts:
        return "none"
    return "ok" if not failed else "failed" if failed * 2 >= attempts else "some"


def problems(
    query: TraceQuery, totals: Totals, outcomes: Sequence[dict[str, int]], health: Sequence[Deployment]
) -> list[Problem]:
    """At most five, the worst first: deployments that fail, requests without an answer, requests over a limit."""
    found = []
    for deployment in sorted(health, key=lambda d: -d.failed)[:3]:
        share = deployment.failed / deployment.attempts if deployment.attempts else 0
        if share >= FAILING and deployment.failed >= 3:
            found.append(
                Problem(
                    "error",
                    "failed",
                    f"{deployment.name} is failing {formats.percent(share)} of attempts",
                    f"{deployment.failed:,} of {deployment.attempts:,} attempts; requests fall back where their plan allows.",
                    "View traces that fell back",
                    traces_url(query, outcome="fell_back,failed"),
                )
            )
    failed = sum(step.get("failed", 0) for step in outcomes)
    limited = sum(step.get("limited", 0) for step in outcomes)
    if failed:
        found.append(
            Problem(
                "report",
                "failed",
                f"{failed:,} request{'s' * (failed != 1)} got no answer",
                f"{formats.percent(failed / totals.requests)} of all; every candidate failed.",
                f"View {failed:,} traces",
                traces_url(query, outcome="failed"),
            )
        )
    if limited:
        found.append(
            Problem(
                "speed",
                "limited",
                f"{limited:,} request{'s' * (limited != 1)} hit a limit",
                "A quota was spent or a lane was full; the client received 429.",
                f"View {limited:,} traces",
                traces_url(query, outcome="limited"),
            )
        )
    return found[:5]


def all_tenants(tenants: Sequence[Tenant], now: datetime) -> list[dict[str, Any]]:
    """The last 24 hours of every tenant, in one statement over their schemas."""
    if not tenants:
        return []
    since = now - RANGES["24h"]
    part = sql.SQL(
        "SELECT {slug}, count(*), count(*) FILTER (WHERE outcome IN ('failed', 'limited')), "
        "coalesce(sum(cost_microusd), 0)::bigint FROM {table} WHERE started_at >= {since}"
    )
    union = sql.SQL(" UNION ALL ").join(
        part.format(
            slug=sql.Literal(t.slug), table=sql.Identifier(t.schema_name, "traces_trace"), since=sql.Literal(since)
        )
        for t in tenants
    )
    with connection.cursor() as cursor:
        cursor.execute(union)
        found = {slug: (count, failed, spend) for slug, count, failed, spend in cursor.fetchall()}
    return [
        {"tenant": tenant, "count": count, "failed": failed, "share": failed / count if count else None, "spend": spend}
        for tenant in tenants
        for count, failed, spend in [found[tenant.slug]]
    ]
