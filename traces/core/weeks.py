"""Traces lie in one partition a week, from Monday 00:00 UTC: which weeks there are, and from when on they are kept."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

WEEK = timedelta(days=7)
AHEAD = WEEK  # partitions are made this long before they are needed
BEHIND = timedelta(days=90)  # what is older than this gets no week of its own: it stays in the default partition
OLDEST = datetime(1, 1, 1, tzinfo=UTC)
ZONES = timedelta(hours=14)  # the month of a quota begins that long before UTC's or after it, at most
SLACK = timedelta(days=1)  # requests that ended late, rows that wait in the stream
RANGE = re.compile(r"FROM \((?:MINVALUE|'([^']+)')\) TO \('([^']+)'\)")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From ``start`` on, before ``end``; both in UTC."""

    start: datetime
    end: datetime

    def holds(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


def week_of(instant: datetime) -> Span:
    day = instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = day - timedelta(days=day.weekday())
    return Span(start, start + WEEK)


def has_week(instant: datetime, now: datetime) -> bool:
    """Whether a trace of then gets a partition; clocks may be wrong, and nobody needs a partition for 1970."""
    return now - BEHIND <= instant < now + AHEAD + WEEK


def read_bound(expression: str) -> Span | None:
    """What PostgreSQL says of a partition's bounds in a session in UTC; None: the default partition."""
    found = RANGE.search(expression)
    if found is None:
        return None
    start, end = found.groups()
    return Span(_instant(start) if start else OLDEST, _instant(end))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def kept_from(now: datetime, days: int) -> datetime:
    """Traces since then are kept: those of ``days``, and all that a quota of this month is counted from, because the
    ledger is rebuilt from traces."""
    latest_zone = now.astimezone(UTC) - ZONES  # where it is still the last month
    month = latest_zone.replace(day=1, hour=0, minute=0, second=0, microsecond=0) - ZONES - SLACK
    return min(now - timedelta(days=days), month)
