"""What the home page says about the figures: indicators, health of deployments, problems with one action each."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from tenants.core.spend import Left
from traces.core import charts, formats
from traces.core.query import TraceQuery, stamp
from traces.home.series import Series
from traces.usage import Sums

MODELS = 6
FAILING = 0.05  # share of attempts from which a deployment needs attention
FEWEST = 3  # failed attempts below which it does not


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
    key: str = ""  # what tells it apart from others while its figures change; empty: alerts know it from elsewhere


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


def traces_url(query: TraceQuery, **changes: str) -> str:
    return reverse("traces:list") + query.url(**changes)


def bar_url(query: TraceQuery, start: datetime, width: int) -> str:
    end = start + timedelta(seconds=width)
    return traces_url(query, range="custom", **{"from": stamp(start), "to": stamp(end)})


def kpis(query: TraceQuery, now: Sums, before: Sums, series: Series) -> list[Kpi]:
    failed = [step.get("failed", 0) + step.get("limited", 0) for step in series.outcomes]
    share, share_before = now.failed_share, before.failed_share
    url = traces_url(query)

    def spark(values: Sequence[float | None]) -> str:
        return charts.line(values, width=100, height=28)

    first = f"p50 {formats.duration(now.p50)} · first token {formats.duration(now.ttft_p50)}"
    return [
        Kpi(
            "Requests",
            formats.count(now.requests),
            formats.change(now.requests, before.requests),
            None,
            f"{formats.count(before.requests)} in the period before",
            spark([sum(step.values()) for step in series.outcomes]),
            url,
        ),
        Kpi(
            "p95 latency",
            formats.duration(now.p95),
            formats.change_in_duration(now.p95, before.p95),
            less(now.p95, before.p95),
            first,
            spark(series.p95),
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
            formats.money(now.cost_microusd),
            formats.change(now.cost_microusd, before.cost_microusd),
            less(now.cost_microusd, before.cost_microusd),
            f"cache saved {formats.money(now.saved_microusd)}",
            spark(series.spend),
            url,
        ),
    ]


def less(now: float | None, before: float | None) -> bool | None:
    return None if now is None or before is None or now == before else now < before


def models(query: TraceQuery, found: Sequence[Sums]) -> list[dict[str, Any]]:
    """Those that answered most, the cache among them."""
    answered = [one for one in found if one.names[0]][:MODELS]
    most = max((one.requests for one in answered), default=0)
    return [
        {
            "name": one.names[0],
            "sums": one,
            "most": most,
            "url": traces_url(query, outcome="cached")
            if one.names[0] == "cache"
            else traces_url(query, model=one.names[0]),
        }
        for one in answered
    ]


def deployments(found: Sequence[tuple[str, int, int, int]], steps: int) -> list[Deployment]:
    """``found``: (deployment, step, attempts, failed ones)."""
    cells: dict[str, list[tuple[int, int]]] = defaultdict(lambda: [(0, 0)] * steps)
    for name, cell, attempts, failed in found:
        at = min(max(cell, 0), steps - 1)
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


def soft_quotas(query: TraceQuery, left: Sequence[Left]) -> list[Problem]:
    """Soft quotas that are used up: nobody is refused, so somebody must be told."""
    return [
        Problem(
            "flag",
            "limited",
            f"Soft quota passed: {item.said}",
            "It only warns; requests go on and their answers carry x-relay-quota-warning.",
            "View quotas",
            f"{reverse('admin:tenants_quota_changelist')}?{urlencode({'tenant': query.tenant})}",
        )
        for item in sorted(left, key=lambda item: -item.used / item.limit.limit)[:2]
    ]


def problems(query: TraceQuery, totals: Sums, series: Series, health: Sequence[Deployment]) -> list[Problem]:
    """The worst first: deployments that fail, requests without an answer, requests over a limit."""
    found = []
    for deployment in sorted(health, key=lambda d: -d.failed)[:3]:
        share = deployment.failed / deployment.attempts if deployment.attempts else 0
        if share >= FAILING and deployment.failed >= FEWEST:
            found.append(
                Problem(
                    "error",
                    "failed",
                    f"{deployment.name} is failing {formats.percent(share)} of attempts",
                    f"{deployment.failed:,} of {deployment.attempts:,} attempts; the next candidate is asked instead.",
                    "View traces that fell back",
                    traces_url(query, outcome="fell_back,failed"),
                    f"failing/{deployment.name}",
                )
            )
    failed = sum(step.get("failed", 0) for step in series.outcomes)
    limited = sum(step.get("limited", 0) for step in series.outcomes)
    if failed:
        found.append(
            Problem(
                "report",
                "failed",
                f"{failed:,} request{'s' * (failed != 1)} got no answer",
                f"{formats.percent(failed / totals.requests)} of all; every candidate failed.",
                f"View {failed:,} traces",
                traces_url(query, outcome="failed"),
                "unanswered",
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
    return found
