"""The trace list: page, live counter, export."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib.admin import site
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from tenants.access import tenants_of
from tenants.models import Tenant
from traces.core import charts
from traces.core.query import CACHES, OUTCOMES, RANGE_WORDS, Cursor, TraceQuery, read_cursor, read_query, stamp
from traces.models import Trace
from traces.viewer import selectors
from traces.viewer.access import seer_of, tenant_of
from traces.viewer.counts import CAP, Counts, counts_of, within

EXPORT_CAP = 10_000
NEVER = datetime(2999, 1, 1, tzinfo=UTC)
EXPORT_COLUMNS = (
    "id",
    "started_at",
    "request_id",
    "outcome",
    "status",
    "error_code",
    "sample",
    "api_key",
    "route",
    "provider",
    "deployment",
    "model",
    "policy",
    "policy_version",
    "bucket",
    "lane",
    "cache",
    "stream",
    "latency_ms",
    "backend_latency_ms",
    "queue_wait_ms",
    "ttft_ms",
    "tokens_in",
    "tokens_out",
    "usage_source",
    "cost_microusd",
    "saved_microusd",
    "reason",
    "prompt_line",
)
FILTER_WORDS = {
    "model": "Model",
    "deployment": "Deployment",
    "key": "Key",
    "lane": "Lane",
    "policy": "Policy",
    "version": "Version",
    "cache": "Cache",
    "error": "Error code",
    "latency_min": "Latency ≥ ms",
    "latency_max": "Latency ≤ ms",
    "cost_min": "Cost ≥ $",
}


@dataclass(frozen=True, slots=True)
class Chip:
    label: str
    url: str
    count: int | None = None
    active: bool = False
    outcome: str = ""


@require_GET
@never_cache
def trace_list(request: HttpRequest) -> HttpResponse:
    if tenant_of(request) is None:
        return choose_tenant(request)
    seer, now = seer_of(request), timezone.now()
    query = read_query(request.GET.dict(), tenant=seer.tenant.slug, now=now)
    cursor, traces = read_cursor(request.GET), selectors.matching(query, prompts=seer.prompts)
    counts = counts_of(seer.tenant, query, selectors.matching(query, prompts=seer.prompts, outcomes=False), now)
    page = selectors.page_of(within(traces, counts, cursor), cursor, prompts=seer.prompts)
    empty = not page.rows and not query.narrowed and not Trace.objects.exists()
    context = {
        **site.each_context(request),
        "title": "Traces",
        "subtitle": seer.tenant.name,
        "query": query,
        "query_string": query.url(),
        "page": page,
        "newer_url": f"{query.url()}&after={page.newer.text()}" if page.newer else "",
        "older_url": f"{query.url()}&before={page.older.text()}" if page.older else "",
        "live_after": (
            Cursor(page.rows[0].started_at, page.rows[0].pk) if page.rows else Cursor(now, UUID(int=0))
        ).text(),
        "outcome_chips": outcome_chips(query, counts.outcomes),
        "filter_chips": filter_chips(query),
        "histogram": histogram(query, counts, now),
        "ranges": RANGE_WORDS,
        "filter_fields": [] if empty else filter_fields(query),
        "now": now,
        "prompts": seer.prompts,
        "no_traces": empty,
        "slowest": max((row.latency_ms for row in page.rows), default=0.0),
        "api_url": request.build_absolute_uri("/v1/chat/completions"),
        "export_url": reverse("traces:export") + query.url(),
    }
    return TemplateResponse(request, "traces/list.html", context)


def choose_tenant(request: HttpRequest) -> HttpResponse:
    tenants: list[Tenant] = tenants_of(request.user)
    context = {**site.each_context(request), "title": "Traces", "subtitle": "All tenants", "tenants": tenants}
    return TemplateResponse(request, "traces/choose_tenant.html", context)


def histogram(query: TraceQuery, counts: Counts, now: datetime) -> dict[str, Any]:
    """Of the outcomes that are asked for; a click on a bar shows its time."""
    until = query.until or now
    columns = []
    for bar, start in zip(charts.bars(counts.drawn, width=1000, height=48), counts.starts(), strict=True):
        span = {"from": stamp(max(start, query.since)), "to": stamp(min(start + counts.width, query.until or NEVER))}
        columns.append({"bar": bar, "start": start, "url": query.url(range="custom", **span)})
    return {
        "columns": columns,
        "since": query.since,
        "middle": query.since + (until - query.since) / 2,
        "until": until,
        "more": CAP if counts.more else 0,
    }


def outcome_chips(query: TraceQuery, counts: Mapping[str, int]) -> list[Chip]:
    """A click shows one outcome alone; rare outcomes stay out of the way until they occur."""
    words = dict(Trace.Outcome.choices)
    shown = [
        o for o in OUTCOMES if counts.get(o) or o in query.outcomes or o in ("ok", "cached", "fell_back", "failed")
    ]
    everything = Chip("All", query.url(outcome=""), sum(counts.values()), not query.outcomes)
    return [everything] + [
        Chip(words[o], query.url(outcome="" if query.outcomes == (o,) else o), counts.get(o, 0), o in query.outcomes, o)
        for o in shown
    ]


def filter_fields(query: TraceQuery) -> list[dict[str, Any]]:
    """Fields of the filter form; a value that no recent trace has stays on offer while it is chosen."""
    offered = selectors.choices(query.since) | {"cache": list(CACHES)}
    fields = []
    for name, label in FILTER_WORDS.items():
        value, values = query.filters.get(name, ""), offered.get(name)
        if values is not None and value and value not in values:
            values = [value, *values]
        fields.append({"name": name, "label": label, "value": value, "choices": values})
    return fields


def filter_chips(query: TraceQuery) -> list[Chip]:
    found = [Chip(f"{FILTER_WORDS[name]}: {value}", query.url(**{name: ""})) for name, value in query.filters.items()]
    if query.range == "custom":
        span = f"{query.since:%d %b %H:%M:%S} to {query.until:%d %b %H:%M:%S}"
        found.append(Chip(span, query.url(**{"range": "", "from": "", "to": ""})))
    return found + ([Chip(f"“{query.search}”", query.url(q=""))] if query.search else [])


@require_GET
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """How many traces of this list are newer than its first row."""
    seer, cursor = seer_of(request), read_cursor(request.GET)
    query = read_query(request.GET.dict(), tenant=seer.tenant.slug, now=timezone.now())
    number = selectors.newer_than(selectors.matching(query, prompts=seer.prompts), cursor) if cursor else 0
    return JsonResponse({"newer": number, "more": number >= selectors.LIVE_CAP})


@require_GET
@never_cache
def export(request: HttpRequest) -> HttpResponse:
    """The newest EXPORT_CAP traces of the list as CSV; read at once, because a generator would outlive the schema."""
    seer = seer_of(request)
    query = read_query(request.GET.dict(), tenant=seer.tenant.slug, now=timezone.now())
    columns = [column for column in EXPORT_COLUMNS if seer.prompts or column != "prompt_line"]
    traces = selectors.matching(query, prompts=seer.prompts).order_by("-started_at", "-id")
    body = io.StringIO()
    writer = csv.writer(body)
    writer.writerow(columns)
    writer.writerows(cells(row) for row in traces.values_list(*columns)[:EXPORT_CAP])
    name = f"traces-{seer.tenant.slug}-{timezone.now():%Y%m%dT%H%M%SZ}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(body.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def cells(row: Sequence[object]) -> Iterator[object]:
    """Text that a spreadsheet would run as a formula is quoted."""
    for value in row:
        if isinstance(value, datetime):
            yield value.isoformat()
        elif isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
            yield f"'{value}"
        else:
            yield value
