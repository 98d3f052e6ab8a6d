"""What a trace list shows: the URL's parameters as one value, and back. Bad parameters are dropped, never an error."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

RANGES = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
RANGE_WORDS = {
    "1h": "Last hour",
    "24h": "Last 24 hours",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "custom": "Custom",
}
DEFAULT_RANGE = "24h"
OUTCOMES = ("ok", "cached", "fell_back", "limited", "rejected", "failed", "cancelled")
CACHES = ("off", "miss", "exact", "semantic", "replay")
TEXTS = ("model", "deployment", "key", "lane", "policy", "error")
NUMBERS = ("version", "latency_min", "latency_max", "cost_min")
LONGEST = 200
MOST = 1e9


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """Instants are UTC. ``until`` None: up to now and on. ``filters`` are single values by parameter name."""

    tenant: str
    range: str
    since: datetime
    until: datetime | None
    outcomes: tuple[str, ...]
    filters: Mapping[str, str]
    search: str

    def params(self) -> dict[str, str]:
        found = {"tenant": self.tenant}
        if self.range == "custom" and self.until is not None:
            found |= {"range": "custom", "from": stamp(self.since), "to": stamp(self.until)}
        elif self.range != DEFAULT_RANGE:
            found["range"] = self.range
        if self.outcomes:
            found["outcome"] = ",".join(self.outcomes)
        found |= self.filters
        return found | ({"q": self.search} if self.search else {})

    def url(self, **changes: str) -> str:
        """The query string with some parameters set, or removed by an empty value. Cursors are never kept."""
        merged = {name: value for name, value in (self.params() | changes).items() if value}
        return "?" + urlencode(merged)

    def number(self, name: str) -> float | None:
        return finite(self.filters.get(name, ""))

    @property
    def narrowed(self) -> bool:
        return bool(self.outcomes or self.filters or self.search)


def read_query(given: Mapping[str, str], *, tenant: str, now: datetime) -> TraceQuery:
    chosen, since, until = read_range(given, now)
    filters = {name: text for name in TEXTS if (text := clean(given.get(name, "")))}
    filters |= {name: text for name in NUMBERS if finite(text := clean(given.get(name, ""))) is not None}
    if (cache := given.get("cache", "")) in CACHES:
        filters["cache"] = cache
    asked = given.get("outcome", "").split(",")
    outcomes = tuple(outcome for outcome in OUTCOMES if outcome in asked)
    search = clean(given.get("q", ""))
    return TraceQuery(tenant, chosen, since, until, outcomes, filters, search)


def read_range(given: Mapping[str, str], now: datetime) -> tuple[str, datetime, datetime | None]:
    since, until = instant(given.get("from", "")), instant(given.get("to", ""))
    chosen = given.get("range", DEFAULT_RANGE)
    if chosen == "custom" and since is not None:
        until = until if until is not None and until > since else now
        if since < until:
            return "custom", since, until
    chosen = chosen if chosen in RANGES else DEFAULT_RANGE
    return chosen, now - RANGES[chosen], None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A row's place in the list: (started_at, id). ``newer``: the page lies on the newer side of it."""

    started_at: datetime
    id: UUID
    newer: bool = False

    def text(self) -> str:
        return f"{microseconds(self.started_at)}.{self.id}"


def read_cursor(given: Mapping[str, str]) -> Cursor | None:
    for name in ("after", "before"):
        place, _, key = given.get(name, "").partition(".")
        try:
            started_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(place[:20]))
            return Cursor(started_at, UUID(key), newer=name == "after")
        except (ValueError, OverflowError):
            continue
    return None


def microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def instant(text: str) -> datetime | None:
    """ISO 8601, read as UTC when it names no zone; only years in which arithmetic on it is safe."""
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if 1971 <= found.year <= 2999 else None


def clean(text: str) -> str:
    """PostgreSQL takes no NUL; the rest of the control characters never help a search."""
    return re.sub(r"[\x00-\x1f\x7f]|[\ud800-\udfff]", " ", text).strip()[:LONGEST]


def finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= MOST else None


def steps(since: datetime, until: datetime, wanted: int = 60) -> tuple[int, int]:
    """Width in seconds and number of the histogram's bars over a range: about ``wanted`` bars of a round width."""
    total = max((until - since).total_seconds(), 1.0)
    widths = (1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 604_800)
    width = next((width for width in widths if total / width <= wanted), math.ceil(total / wanted))
    return width, math.ceil(total / width)
