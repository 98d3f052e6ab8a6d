"""What may still be spent: a hold before the request, settled on what it really used.

Counters live in Redis, one a quota and window, changed by two Lua scripts, so that any number of processes share one
limit and two requests cannot both take the last of it. All keys of a tenant carry its hash tag.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tenants.auth import Caller
from tenants.core.limits import Limit, window_of
from tenants.redis import Command, replied

HOLD = """
local over = 0
for i = 1, #KEYS do
    local used = tonumber(redis.call('GET', KEYS[i]) or '0')
    if over == 0 and ARGV[3*i-1] == '1' and used + tonumber(ARGV[3*i-2]) > tonumber(ARGV[3*i]) then over = i end
end
local used = {}
for i = 1, #KEYS do
    if over == 0 then
        used[i] = redis.call('INCRBY', KEYS[i], ARGV[3*i-2])
        if used[i] == tonumber(ARGV[3*i-2]) then redis.call('EXPIRE', KEYS[i], ARGV[3*#KEYS+i]) end
    else
        used[i] = tonumber(redis.call('GET', KEYS[i]) or '0')
    end
end
return {over, used}
"""
# Only a counter that still exists is corrected: one that expired or was lost must not be born negative.
SETTLE = """
for i = 1, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('INCRBY', KEYS[i], ARGV[i]) end
end
return 1
"""


class QuotaSpent(Exception):
    def __init__(self, limit: Limit, used: int, resets_in_s: int) -> None:
        super().__init__(f"{limit.metric} a {limit.window}")
        self.limit, self.used, self.resets_in_s = limit, used, resets_in_s


@dataclass(frozen=True, slots=True)
class Spend:
    requests: int
    tokens: int
    cost: int  # micro-dollars

    def of(self, metric: str) -> int:
        return int(getattr(self, metric))


@dataclass(frozen=True, slots=True)
class Left:
    """One limit after the hold, for the x-ratelimit headers and soft warnings."""

    limit: Limit
    used: int
    resets_in_s: int


@dataclass(frozen=True, slots=True)
class Hold:
    keys: tuple[str, ...]
    limits: tuple[Limit, ...]
    held: Spend
    resets: tuple[int, ...]

    def command(self) -> Command:
        argv: list[Any] = []
        for limit in self.limits:
            argv += [self.held.of(limit.metric), int(limit.hard), limit.limit]
        expiry = [reset + 60 for reset in self.resets]
        return ("EVAL", HOLD, len(self.keys), *self.keys, *argv, *expiry)

    def read(self, reply: Any) -> tuple[Left, ...]:
        """Raises QuotaSpent if a hard limit would have been passed; then nothing is held."""
        over, used = replied(reply)
        if over:
            index = int(over) - 1
            raise QuotaSpent(self.limits[index], int(used[index]), self.resets[index])
        return tuple(Left(*item) for item in zip(self.limits, map(int, used), self.resets, strict=True))

    def settle(self, actual: Spend) -> Command:
        corrections = [actual.of(limit.metric) - self.held.of(limit.metric) for limit in self.limits]
        return ("EVAL", SETTLE, len(self.keys), *self.keys, *corrections)


def hold_for(caller: Caller, estimate: Spend, now: float) -> Hold | None:
    """None if no quota concerns this caller."""
    if not caller.quotas:
        return None
    keys, resets = [], []
    for limit in caller.quotas:
        start, end = window_of(limit, now)
        keys.append(f"relay:{{{caller.tenant}}}:quota:{limit.key}:{start}")
        resets.append(max(1, int(end - now) + 1))
    return Hold(tuple(keys), caller.quotas, estimate, tuple(resets))


def nearest(left: Sequence[Left], metric: str) -> Left | None:
    """The limit of this metric that is closest to its end, for x-ratelimit-*."""
    return min(
        (item for item in left if item.limit.metric == metric),
        key=lambda item: item.limit.limit - item.used,
        default=None,
    )
