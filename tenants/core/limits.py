"""Limits and the fixed windows over which they count."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Limit:
    """A row of Quota (of a tenant, or of one API key by its id) or of DeploymentLimit (of a deployment by its slug).

    ``key`` names its counter: short, unique, and the same for as long as the row exists.
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


def window_of(limit: Limit, now: float) -> tuple[int, int]:
    """The window that ``now`` (epoch seconds) lies in, as epoch seconds: [start, end)."""
    start, end = window(limit.window, datetime.fromtimestamp(now, ZoneInfo(limit.timezone)))
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
