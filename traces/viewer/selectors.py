"""Reads for the trace list. All are bounded by the query's range and use the schema that is set for the page."""

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast, Right

from traces.core.query import Cursor, TraceQuery
from traces.models import Trace, Usage

PAGE = 50
LIVE_CAP = 100
CHOICES_CAP = 2_000
TAIL = re.compile(r"[0-9a-fA-F]{12}")  # of an id, as pages show it
EXACT = {
    "model": "model",
    "deployment": "deployment",
    "key": "api_key",
    "lane": "lane",
    "policy": "policy",
    "cache": "cache",
    "error": "error_code",
}
ROW_FIELDS = (
    "id",
    "started_at",
    "outcome",
    "status",
    "error_code",
    "sample",
    "api_key",
    "route",
    "model",
    "deployment",
    "cache",
    "latency_ms",
    "ttft_ms",
    "tokens_in",
    "tokens_out",
    "cost_microusd",
    "prompt_line",
    "reason",
    "stream",
)


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Trace]
    newer: Cursor | None
    older: Cursor | None


def matching(query: TraceQuery, *, prompts: bool, outcomes: bool = True) -> QuerySet[Trace]:
    """Traces of the query. ``prompts`` False: the search does not look into prompts, which would give them away."""
    return searched(query, prompts=prompts).filter(conditions(query, outcomes=outcomes))


def searched(query: TraceQuery, *, prompts: bool) -> QuerySet[Trace]:
    """The id of one trace or request is found in any range; other text within the query's range."""
    text = query.search
    if text:
        if identity := as_uuid(text):
            return Trace.objects.filter(pk=identity)
        if Trace.objects.filter(request_id=text).exists():
            return Trace.objects.filter(request_id=text)
    within = Trace.objects.filter(started_at__gte=query.since)
    if query.until is not None:
        within = within.filter(started_at__lt=query.until)
    return within.filter(_said(text, within, prompts=prompts)) if text else within


def _said(text: str, within: QuerySet[Trace], *, prompts: bool) -> Q:
    """Each way to find the text has an index of its own, but for the name of a key, which is asked for only if there
    is such a key: its traces are many."""
    found = Q(pk__in=[])
    if prompts:
        found |= Q(prompt_line__icontains=text)
    if TAIL.fullmatch(text):
        tails = within.annotate(tail=Right(Cast("id", TextField()), 12)).filter(tail=text.lower())
        found |= Q(pk__in=list(tails.values_list("pk", flat=True)[:PAGE]))
    if Usage.objects.filter(api_key=text).exists():
        found |= Q(api_key=text)
    return found


def conditions(query: TraceQuery, *, outcomes: bool) -> Q:
    found = Q(**{column: query.filters[name] for name, column in EXACT.items() if name in query.filters})
    version, cost = query.number("version"), query.number("cost_min")
    least, most = query.number("latency_min"), query.number("latency_max")
    if outcomes and query.outcomes:
        found &= Q(outcome__in=query.outcomes)
    if version is not None:
        found &= Q(policy_version=int(version))
    if least is not None:
        found &= Q(latency_ms__gte=least)
    if most is not None:
        found &= Q(latency_ms__lte=most)
    if cost is not None:
        found &= Q(cost_microusd__gte=int(cost * 1_000_000))
    return found


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def beyond(cursor: Cursor) -> Q:
    """Rows on the cursor's far side. The redundant bound on started_at lets PostgreSQL start inside the index."""
    if cursor.newer:
        later = Q(started_at__gt=cursor.started_at) | Q(started_at=cursor.started_at, id__gt=cursor.id)
        return Q(started_at__gte=cursor.started_at) & later
    earlier = Q(started_at__lt=cursor.started_at) | Q(started_at=cursor.started_at, id__lt=cursor.id)
    return Q(started_at__lte=cursor.started_at) & earlier


def page_of(traces: QuerySet[Trace], cursor: Cursor | None, *, prompts: bool) -> Page:
    """Newest first. One row more than a page is read, to know whether there is another page."""
    order = ("started_at", "id") if cursor and cursor.newer else ("-started_at", "-id")
    columns = [column for column in ROW_FIELDS if prompts or column != "prompt_line"]
    found = traces.filter(beyond(cursor)) if cursor else traces
    rows = list(found.order_by(*order).only(*columns)[: PAGE + 1])
    more, rows = len(rows) > PAGE, rows[:PAGE]
    if cursor and cursor.newer:
        rows.reverse()
    if not rows:
        return Page([], None, None)
    has_newer = more if cursor and cursor.newer else cursor is not None
    has_older = True if cursor and cursor.newer else more
    newer = Cursor(rows[0].started_at, rows[0].pk, newer=True) if has_newer else None
    return Page(rows, newer, Cursor(rows[-1].started_at, rows[-1].pk) if has_older else None)


def newer_than(traces: QuerySet[Trace], cursor: Cursor) -> int:
    """How many traces came in since; counts to LIVE_CAP and no further."""
    found = traces.filter(beyond(Cursor(cursor.started_at, cursor.id, newer=True)))
    return len(found.order_by().values_list("pk")[:LIVE_CAP])


def neighbours(traces: QuerySet[Trace], trace: Trace) -> tuple[UUID | None, UUID | None]:
    """The next newer and the next older trace under the same filters."""
    newer = traces.filter(beyond(Cursor(trace.started_at, trace.pk, newer=True))).order_by("started_at", "id")
    older = traces.filter(beyond(Cursor(trace.started_at, trace.pk))).order_by("-started_at", "-id")
    return newer.values_list("pk", flat=True).first(), older.values_list("pk", flat=True).first()


def choices(since: datetime) -> dict[str, list[str]]:
    """Values to offer in the filter form, from the newest traces of the range."""
    columns = ("model", "deployment", "api_key", "lane", "policy", "error_code")
    recent = (
        Trace.objects.filter(started_at__gte=since).order_by("-started_at", "-id").values_list(*columns)[:CHOICES_CAP]
    )
    found: list[set[str]] = [set() for _ in columns]
    for row in recent:
        for value, values in zip(row, found, strict=True):
            values.add(value)
    names = ("model", "deployment", "key", "lane", "policy", "error")
    return {name: sorted(values - {""}) for name, values in zip(names, found, strict=True)}
