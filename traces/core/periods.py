"""The steps in which a page shows a time from whole hours: its charts and sums agree to the request."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPANS = {"24h": (DAY, HOUR), "7d": (7 * DAY, 6 * HOUR), "30d": (30 * DAY, DAY)}  # and the width of a step


@dataclass(frozen=True, slots=True)
class Period:
    """``steps`` steps of ``width`` from ``since``, in UTC; ``now`` lies in the last one."""

    since: datetime
    now: datetime
    width: timedelta
    steps: int

    @property
    def before(self) -> datetime:
        """The beginning of the same time before, to the hour."""
        return floor_to(self.since - (self.now - self.since), HOUR)

    @property
    def until(self) -> datetime:
        return self.since + self.width * self.steps

    def starts(self) -> list[datetime]:
        return [self.since + self.width * step for step in range(self.steps)]

    def clamp(self, step: int) -> int:
        """Clocks that are ahead count into the last step."""
        return min(max(step, 0), self.steps - 1)


def period_of(span: str, now: datetime) -> Period:
    """``span``: a name of SPANS. At least that long: it begins at the beginning of a step."""
    length, width = SPANS[span]
    since = floor_to(now - length, width)
    return Period(since, now, width, (now - since) // width + 1)


def floor_to(instant: datetime, width: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return instant.astimezone(UTC) - (instant - epoch) % width
