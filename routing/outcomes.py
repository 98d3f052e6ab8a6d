"""Outcomes of the last six hours, of all processes: each sends its own to Redis about once a second and reads all.

One hash a minute. It belongs to no tenant and names deployments only. While Redis is away a process goes on with what
it knows and sends the rest later; a trip that broke may be counted twice, which statistics can bear.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

from redis.asyncio import Redis

from routing.core.outcomes import NONE, WINDOWS_MIN, Counts, Sums, add, summed, together

KEY = "relay:evidence:"
KEPT_MIN = WINDOWS_MIN[-1]
EXPIRES_S = 7 * 3600
READ_AT_ONCE = 30  # minutes a trip, when a process starts

Minutes = dict[int, dict[str, Counts]]


class Outcomes:
    def __init__(self) -> None:
        self._known: Minutes = {}  # what Redis said
        self._own: Minutes = {}  # not sent yet
        self._history_read = False
        self._past: dict[str, Sums] = {}  # of minutes that no longer change, as of the minute below
        self._minute = -1

    def add(self, deployment: str, field: int, now: float) -> None:
        """``field``: FAILED or a bucket of latency."""
        counts = self._own.setdefault(int(now // 60), {}).setdefault(deployment, {})
        counts[field] = counts.get(field, 0) + 1

    def sums(self, now: float) -> dict[str, Sums]:
        minute = int(now // 60)
        if minute != self._minute:
            self._grow_old(minute)
        recent = (minute - 1, minute)
        names = self._past.keys() | _names(self._known, recent) | _names(self._own, recent)
        return {name: reduce(together, self._parts(name, recent), self._past.get(name, NONE)) for name in names}

    async def share(self, redis: Redis, now: float) -> None:
        """One trip: what is new goes there, what all have comes back. Raises RedisError or OSError, nothing is lost."""
        minute = int(now // 60)
        wanted = [minute - 1, minute] if self._history_read else list(range(minute - KEPT_MIN + 1, minute + 1))
        sending, self._own = self._own, {}
        try:
            await self._send_and_read(redis, sending, wanted[-READ_AT_ONCE:])
        except BaseException:
            _merge(self._own, sending)
            raise
        _merge(self._known, {at: names for at, names in sending.items() if at not in wanted[-READ_AT_ONCE:]})
        for start in range(0, len(wanted) - READ_AT_ONCE, READ_AT_ONCE):
            await self._send_and_read(redis, {}, wanted[start : start + READ_AT_ONCE])
        if not self._history_read:
            self._history_read, self._minute = True, -1

    def _parts(self, name: str, minutes: Iterable[int]) -> tuple[Sums, Sums]:
        return (
            summed(self._known, name, minutes, self._minute),
            summed(self._own, name, minutes, self._minute),
        )

    def _grow_old(self, minute: int) -> None:
        """Forget what is too old, and add up what is old enough to change no more."""
        self._minute = minute
        for minutes in (self._known, self._own):
            for old in [at for at in minutes if at <= minute - KEPT_MIN]:
                del minutes[old]
        past = range(minute - KEPT_MIN + 1, minute - 1)
        names = _names(self._known, past) | _names(self._own, past)
        self._past = {name: reduce(together, self._parts(name, past)) for name in names}

    async def _send_and_read(self, redis: Redis, sending: Minutes, wanted: list[int]) -> None:
        pipeline = redis.pipeline(transaction=False)
        for minute, names in sending.items():
            for name, counts in names.items():
                for field, times in counts.items():
                    pipeline.hincrby(f"{KEY}{minute}", f"{name}:{field}", times)
            pipeline.expire(f"{KEY}{minute}", EXPIRES_S)
        for minute in wanted:
            pipeline.hgetall(f"{KEY}{minute}")
        replies = await pipeline.execute()
        for minute, fields in zip(wanted, replies[-len(wanted) :], strict=True):
            if fields:
                self._known[minute] = _read(fields)


def _names(minutes: Mapping[int, Mapping[str, Any]], wanted: Iterable[int]) -> set[str]:
    return {name for minute in wanted for name in minutes.get(minute, ())}


def _merge(into: Minutes, more: Minutes) -> None:
    for minute, names in more.items():
        for name, counts in names.items():
            add(into.setdefault(minute, {}).setdefault(name, {}), counts)


def _read(fields: Mapping[bytes, bytes]) -> dict[str, Counts]:
    names: dict[str, Counts] = {}
    for field, times in fields.items():
        name, _, number = field.decode().rpartition(":")
        names.setdefault(name, {})[int(number)] = int(times)
    return names
