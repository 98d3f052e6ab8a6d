"""What a shadow's copies may still cost today, and how many may be under way: counted in Redis, for all processes.

A copy holds the most that it may cost before it is made, and what it did cost takes that place afterwards, so no number
of processes can pass the budget together. A process that dies leaves its holds counted until the day (UTC) is over: the
provider may have charged for them. After a loss of Redis the day goes on from what PostgreSQL knows; copies that were
under way at that moment can then pass the budget by what they hold.
"""

from collections.abc import Awaitable, Callable
from typing import Literal, cast

import redis.asyncio
from redis.exceptions import RedisError

MOST_S = 600  # of one copy
LEASE_S = MOST_S + 60
DAY_S = 2 * 86_400

Permit = Literal["go", "busy", "spent", "away"]

# KEYS: the day's counter, copies under way. ARGV: most that may be under way, hold, budget, the copy, lease in s.
TAKE = """
local spent = redis.call('GET', KEYS[1])
if not spent then return 'unknown' end
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[1]) then return 'busy' end
if tonumber(spent) + tonumber(ARGV[2]) > tonumber(ARGV[3]) then return 'spent' end
redis.call('INCRBY', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], now + ARGV[5], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 'go'
"""
# KEYS: as above. ARGV: the copy, hold, actual. A counter that was lost meanwhile is not begun here.
SETTLE = """
local held = redis.call('ZREM', KEYS[2], ARGV[1]) == 1 and tonumber(ARGV[2]) or 0
if redis.call('EXISTS', KEYS[1]) == 1 then
    redis.call('INCRBY', KEYS[1], string.format('%.0f', tonumber(ARGV[3]) - held))
end
return 1
"""


class Budget:
    """Of one shadow on one day; amounts in micro-dollars. ``spent_before`` asks PostgreSQL what the day cost so far. It
    may raise OSError."""

    def __init__(
        self, client: redis.asyncio.Redis, shadow: int, day: str, spent_before: Callable[[], Awaitable[int]]
    ) -> None:
        self._client, self._spent_before = client, spent_before
        self._keys = (f"relay:{{shadow:{shadow}}}:{day}", f"relay:{{shadow:{shadow}}}:running")

    async def take(self, copy: str, hold: int, *, budget: int, concurrent: int) -> Permit:
        arguments = (str(concurrent), str(hold), str(budget), copy, str(LEASE_S))
        try:
            reply = await self._run(TAKE, *arguments)
            if reply == b"unknown":
                await self._client.set(self._keys[0], await self._spent_before(), nx=True, ex=DAY_S)
                reply = await self._run(TAKE, *arguments)
        except (RedisError, OSError):
            return "away"
        return cast(Permit, reply.decode()) if reply != b"unknown" else "away"

    async def settle(self, copy: str, hold: int, actual: int) -> None:
        """Raises RedisError or OSError; then the hold stays counted."""
        await self._run(SETTLE, copy, str(hold), str(actual))

    async def _run(self, script: str, *arguments: str) -> bytes:
        return await cast(Awaitable[bytes], self._client.eval(script, 2, *self._keys, *arguments))
