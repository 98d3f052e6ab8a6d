"""Limits and the fixed windows over which they count."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

KEPT_S = 900  # a counter outlives its window, for requests that end after it
MILLIONTHS = 1_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """A row of Quota (of a tenant, or of one API key by its id) or of DeploymentLimit (of a deployment by its slug).

    ``key`` is short, unique, and the same for as long as the row exists.
    ``metric`` is requests, tokens, cost (micro-dollars) or neurons.
    """

    key: str
    metric: str
    window: str
    limit: int
    hard: bool = True
    timezone: str = "UTC"
    tenant: str = ""
    api_key: str = ""
    deployment: str = ""

    @property
    def name(self) -> str:
        """Of its counters. A row that is edited to count something else does not go on with the old number."""
        return f"{self.key}:{self.metric}:{self.window}"

    @property
    def unit(self) -> int:
        """How many steps of its counter one of ``limit`` is: neurons come in fractions."""
        return MILLIONTHS if self.metric == "neurons" else 1

    @property
    def words(self) -> str:
        return f"{self.metric} a {self.window}"


@dataclass(frozen=True, slots=True)
class Counter:
    """A limit in one of its windows, [start, end) in epoch seconds; ``key`` is that of its hash in Redis."""

    limit: Limit
    key: str
    start: int
    end: int

    @property
    def expires(self) -> int:
        return self.end + KEPT_S


def counter_of(limit: Limit, now: float) -> Counter:
    start, end = window_of(limit, now)
    return Counter(limit, f"relay:{{ledger}}:{limit.name}:{start}", start, end)


def window_of(limit: Limit, now: float) -> tuple[int, int]:
    """The window that ``now`` (epoch seconds) lies in, as epoch seconds: [start, end)."""
    return _window_at(limit.window, limit.timezone, int(now // 60))


@lru_cache(maxsize=256)
def _window_at(name: str, timezone: str, minute: int) -> tuple[int, int]:
    """``minute`` counts from the epoch: every window begins with one."""
    start, end = window(name, datetime.fromtimestamp(minute * 60, ZoneInfo(timezone)))
    return int(start.timestamp()), int(end.timestamp())


def window(name: str, moment: datetime) -> tuple[datetime, datetime]:
    """The minute, hour, day or month of ``moment``'s time zone that it lies in: [start, end).

    Days and months begin at local midnight, so a day is 23 or 25 hours long when clocks change; minutes and hours
    are counted in UTC, where none is missing or comes twice.
    """
    zone = moment.tzinfo
    if name in ("minute", "hour"):
        exact = moment.astimezone(UTC)
        start = exact.replace(second=0, microsecond=0, minute=exact.minute if name == "minute" else 0)
        return start.astimezone(zone), (start + timedelta(**{f"{name}s": 1})).astimezone(zone)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if name == "day":
        return day, day + timedelta(days=1)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)
