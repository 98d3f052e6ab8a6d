"""What a request holds and uses, and what is left of a limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from tenants.core.limits import Limit


@dataclass(frozen=True, slots=True)
class Spend:
    """``cost`` in micro-dollars, ``neurons`` in millionths."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0
    neurons: int = 0

    def of(self, metric: str) -> int:
        return int(getattr(self, metric))

    def __add__(self, other: "Spend") -> "Spend":
        return Spend(
            self.requests + other.requests,
            self.tokens + other.tokens,
            self.cost + other.cost,
            self.neurons + other.neurons,
        )


NOTHING = Spend()


@dataclass(frozen=True, slots=True)
class Left:
    """A limit and what is used of it, held parts included; ``used`` is in the limit's own unit, rounded up."""

    limit: Limit
    used: int
    resets_in_s: int

    @property
    def share(self) -> float:
        """What is left, 0 to 1."""
        return max(0.0, 1 - self.used / self.limit.limit)

    @property
    def said(self) -> str:
        return f"{self.used:,} of {self.limit.limit:,} {self.limit.words}"


def left_of(limit: Limit, steps: int, resets_in_s: int) -> Left:
    """``steps`` as the counter has them."""
    return Left(limit, -(-steps // limit.unit), resets_in_s)


def nearest(left: Sequence[Left], metric: str) -> Left | None:
    """The limit of this metric that is closest to its end, for x-ratelimit-*."""
    return min(
        (item for item in left if item.limit.metric == metric),
        key=lambda item: item.limit.limit - item.used,
        default=None,
    )


def runs_out_at(left: Left, *, start: int, now: float) -> float | None:
    """When the limit is reached if its use goes on as it did since ``start``; None if its window ends before that.

    A moment that has passed means that it is reached. All in epoch seconds.
    """
    if left.used >= left.limit.limit:
        return now
    passed = now - start
    if passed <= 0 or left.used <= 0:
        return None
    at = start + passed * left.limit.limit / left.used
    return at if at < now + left.resets_in_s else None


def as_duration(seconds: int) -> str:
    """As OpenAI writes it in x-ratelimit-reset-*: 59s, 6m0s, 23h59m1s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
