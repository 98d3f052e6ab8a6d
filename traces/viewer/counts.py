"""How many traces a list has, over time and by outcome, without reading them all.

Where a list is told by names alone (model, key, ...), whole hours are counted from the hourly sums, which also say in
which hours the rows of a page lie; what is left at both ends is counted from the traces. Any other list is counted
from its newest ``cap`` traces, and says so if there are more.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from tenants.models import Tenant
from traces.core.periods import HOUR, floor_to
from traces.core.query import Cursor, TraceQuery, steps
from traces.models import Trace
from traces.usage import requests_by_hour
from traces.viewer.selectors import EXACT, PAGE

CAP = 5_000
WHAT = ("started_at", "outcome")
LONG = 6 * HOUR  # from here on the hourly sums are faster than the traces


@dataclass(frozen=True, slots=True)
class Counts:
    """``drawn``: outcomes of each step of ``width`` from ``origin``. ``more``: only the newest were counted.
    ``hours``: how many traces of the chosen outcomes each hour has, if that is known."""

    origin: datetime
    width: timedelta
    drawn: Sequence[Mapping[str, int]]
    outcomes: Counter[str]
    more: bool = False
    hours: Mapping[datetime, int] | None = None

    def starts(self) -> list[datetime]:
        return [self.origin + self.width * step for step in range(len(self.drawn))]


def counts_of(tenant: Tenant, query: TraceQuery, traces: "QuerySet[Trace]", now: datetime, cap: int = CAP) -> Counts:
    """``traces``: those of the query, of all outcomes."""
    until = query.until or now
    by_names = not query.search and not {"latency_min", "latency_max", "cost_min"} & set(query.filters)
    if by_names and until - query.since > LONG:
        return _from_hours(tenant, query, traces, until)
    seconds, number = steps(query.since, until)
    width = timedelta(seconds=seconds)
    newest = list(traces.order_by("-started_at").values_list(*WHAT)[: cap + 1])
    found = ((started, outcome, 1) for started, outcome in newest[:cap])
    return Counts(query.since, width, *_drawn(found, query, query.since, width, number), more=len(newest) > cap)


def _from_hours(tenant: Tenant, query: TraceQuery, traces: "QuerySet[Trace]", until: datetime) -> Counts:
    width = max(timedelta(seconds=steps(query.since, until)[0]), HOUR)
    origin = floor_to(query.since, width)
    first = _next_hour(query.since)
    last = floor_to(until, HOUR) if query.until else _next_hour(until)
    found = requests_by_hour(tenant.schema_name, since=first, until=last, only=_names(query))
    ends = [traces.filter(started_at__lt=first)] if first > query.since else []
    ends += [traces.filter(started_at__gte=last)] if query.until and last < until else []
    found += [(started, outcome, 1) for end in ends for started, outcome in end.order_by().values_list(*WHAT)]
    hours: Counter[datetime] = Counter()
    for started, outcome, number in found:
        if not query.outcomes or outcome in query.outcomes:
            hours[floor_to(started, HOUR)] += number
    drawn, outcomes = _drawn(found, query, origin, width, -((origin - until) // width))
    return Counts(origin, width, drawn, outcomes, hours=hours)


def within(traces: "QuerySet[Trace]", counts: Counts, cursor: Cursor | None) -> "QuerySet[Trace]":
    """Only the hours in which the rows of the cursor's page lie."""
    if counts.hours is None:
        return traces
    newer = cursor is not None and cursor.newer
    chosen: list[datetime] = []
    rows = 0
    for hour in sorted((hour for hour, number in counts.hours.items() if number), reverse=not newer):
        if cursor and (hour + HOUR <= cursor.started_at if newer else hour > cursor.started_at):
            continue
        chosen.append(hour)
        if cursor is None or not hour <= cursor.started_at < hour + HOUR:  # of that hour, an unknown part lies beyond
            rows += counts.hours[hour]
        if rows > PAGE:
            break
    if not chosen:
        return traces.none()
    return traces.filter(started_at__gte=min(chosen), started_at__lt=max(chosen) + HOUR)


def _names(query: TraceQuery) -> dict[str, Any]:
    only: dict[str, Any] = {column: query.filters[name] for name, column in EXACT.items() if name in query.filters}
    version = query.number("version")
    return only if version is None else only | {"policy_version": int(version)}


def _drawn(
    found: Iterable[tuple[datetime, str, int]], query: TraceQuery, origin: datetime, width: timedelta, number: int
) -> tuple[list[dict[str, int]], Counter[str]]:
    outcomes: Counter[str] = Counter()
    drawn: list[dict[str, int]] = [{} for _ in range(number)]
    for started, outcome, count in found:
        outcomes[outcome] += count
        step = (started - origin) // width
        if 0 <= step < number and (not query.outcomes or outcome in query.outcomes):
            drawn[step][outcome] = drawn[step].get(outcome, 0) + count
    return drawn, outcomes


def _next_hour(instant: datetime) -> datetime:
    """The hour that begins then, or next."""
    return floor_to(instant + HOUR - timedelta(microseconds=1), HOUR)
