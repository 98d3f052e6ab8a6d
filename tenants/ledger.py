"""The ledger as one process keeps it: holds, settlements, and what the process holds in all.

Redis counts (tenants/scripts.py), PostgreSQL is the truth. A server that was emptied, restarted or replaced is noticed
before a counter is trusted: then nobody may hold until the counters are rebuilt from the traces, and every process has
said again what it holds. What a process holds is released when it has been silent for SILENT_S.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from tenants.core.limits import Counter
from tenants.holds import SURE, Account, Hold, Parts, Settlement, Taken
from tenants.redis import Command, RedisAway, Trips, replied
from tenants.scripts import ANNOUNCE, BEAT, COUNTERS, EPOCH, LEAVE, MOVED, NOT_LIVE, PROCESSES, READ

WAIT_S = 2.5  # how long a request waits for a rebuild
PAUSE_S = 1.0  # after a rebuild that failed
SILENT_S = 30
BATCH = 100
log = logging.getLogger("relay.ledger")


class NotCounted(RedisAway):
    """Redis answers, but the counters are not rebuilt yet: what may still be spent is not known."""


class Ledger:
    def __init__(
        self,
        trips: Trips,
        rebuild: Callable[[], Awaitable[object]],
        recent: Callable[[], Sequence[Command]] = tuple,
    ) -> None:
        """``rebuild`` makes the counters true again; it may fail, and another process may be quicker. ``recent`` says
        what Redis took lately and may have lost."""
        self.process = secrets.token_hex(8)
        self._trips = trips
        self._rebuild = rebuild
        self._recent = recent
        self._generation = ""
        self._held: dict[str, tuple[int, int]] = {}  # counter -> amount, expires
        self._announcing = asyncio.Lock()
        self._rebuilding: asyncio.Task[bool] | None = None
        self._failed_at = float("-inf")
        self._beat_at = float("-inf")

    # --- of one request ------------------------------------------------------------------------------------------

    async def hold(
        self, account: Account, hold: Hold, now: float, more: Sequence[Command] = ()
    ) -> tuple[Taken, list[Any]]:
        """What was taken, and the replies to ``more``, which goes in the same trip.

        Raises QuotaSpent, RedisAway or NotCounted.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_S
        while True:
            sent = partial(hold.command, generation=self._generation, process=self.process)
            replies = await self._trips.run([sent, *more])
            reply = replied(replies[0])
            if reply[0] == MOVED:
                await self.announce(_text(reply[1]))
            elif reply[0] == NOT_LIVE:
                await self._rebuilt(deadline)
            else:
                return self._took(account, hold, reply, now), replies[1:]
            if loop.time() >= deadline:
                raise NotCounted("the counters do not come to rest")

    def _took(self, account: Account, hold: Hold, reply: Any, now: float) -> Taken:
        taken: Taken | None = None
        try:
            taken = hold.read(reply, now)
        finally:
            self._add(account.took(hold, taken))
        return taken

    def _add(self, parts: Parts) -> None:
        for part in parts:
            amount, _ = self._held.get(part.counter.key, (0, 0))
            self._held[part.counter.key] = amount + part.amount, part.counter.expires

    def settling(self, settlement: Settlement, sign: int = -1) -> None:
        """Its command is on its way: what it held needs no more announcing. With ``sign`` 1: it did not arrive."""
        if settlement.process != self.process:
            return  # of one that died
        for item in settlement.items:
            if item.group == SURE:
                amount, expires = self._held.get(item.key, (0, item.expires))
                if amount + sign * item.held > 0:
                    self._held[item.key] = amount + sign * item.held, expires
                else:
                    self._held.pop(item.key, None)

    def forget(self, settlement: Settlement) -> None:
        """It can be written nowhere: what it held must not stay held. The next hold waits until all is said anew."""
        self.settling(settlement)
        self._generation = ""

    # --- of the process ------------------------------------------------------------------------------------------

    async def announce(self, generation: str) -> None:
        """Say to a new generation what this process did lately and all that it holds; once, however many notice."""
        async with self._announcing:
            if generation == self._generation:
                return
            lately = self._recent()
            for start in range(0, len(lately), BATCH):
                await self._trips.run(lately[start : start + BATCH])
            await self._say_what_is_held(generation)

    async def _say_what_is_held(self, generation: str) -> None:
        keys, argv = [EPOCH, PROCESSES, COUNTERS, *self._held], list[int]()
        for held in self._held.values():
            argv += held
        [reply] = await self._trips.run([ANNOUNCE.command(keys, generation, self.process, *argv)])
        if replied(reply):
            self._generation = generation

    async def say_anew(self) -> None:
        """What Redis believes of this process may be wrong: say all that it holds. New holds wait for that."""
        async with self._announcing:
            generation, self._generation = self._generation, ""
            if generation:
                await self._trips.run([("PING",)])  # by now every hold that was under way has come back
                await self._say_what_is_held(generation)

    async def beat(self, silent_s: float = SILENT_S) -> None:
        """This process lives; those that were silent for so long do not, and what they held is released."""
        now = asyncio.get_running_loop().time()
        [reply] = await self._trips.run([BEAT.command([PROCESSES, COUNTERS], self.process, silent_s)])
        new, dead = replied(reply)
        if new or now - self._beat_at >= silent_s:  # it may have been taken for dead
            await self.say_anew()
        self._beat_at = now
        if dead:
            log.warning("released what dead processes held", extra={"processes": dead})

    async def watch(self, counters: Sequence[Counter]) -> list[int] | None:
        """What is used of each, in its steps. None while the counters are not true, which is then seen to."""
        [reply] = await self._trips.run([READ.command([EPOCH, *(counter.key for counter in counters)])])
        run_id, generation, live, found = replied(reply)
        if generation and _text(generation) != self._generation:
            await self.announce(_text(generation))
        if _text(live) != "1" or _text(run_id) != self._trips.run_id:
            self._start_rebuild()
            return None
        return [int(used) for used, _ in found]

    async def leave(self) -> None:
        """This process ends: what it holds is released. A rebuild under way is waited for, as its thread cannot be
        stopped: nothing of this process writes to Redis afterwards. Raises RedisAway."""
        try:
            replied((await self._trips.run([LEAVE.command([PROCESSES, COUNTERS], self.process)]))[0])
        finally:
            if self._rebuilding is not None:
                await self._rebuilding

    async def _rebuilt(self, deadline: float) -> None:
        """Wait for a rebuild, one for all requests of this process. Raises NotCounted."""
        rebuilding = self._start_rebuild()
        if rebuilding is None:
            raise NotCounted("a rebuild failed just now")
        try:
            async with asyncio.timeout_at(deadline):
                done = await asyncio.shield(rebuilding)
        except TimeoutError:
            raise NotCounted("the rebuild takes long") from None
        if not done:
            raise NotCounted("the rebuild failed")

    def _start_rebuild(self) -> asyncio.Task[bool] | None:
        """The one that runs or a new one; None soon after one that failed."""
        if self._rebuilding is None or self._rebuilding.done():
            if asyncio.get_running_loop().time() - self._failed_at < PAUSE_S:
                return None
            self._rebuilding = asyncio.create_task(self._try_to_rebuild())
        return self._rebuilding

    async def _try_to_rebuild(self) -> bool:
        try:
            await self._rebuild()
        except Exception as error:  # PostgreSQL or Redis is away: whoever asks next tries again
            log.warning("quota counters could not be rebuilt", extra={"error": str(error).strip()[:300]})
            self._failed_at = asyncio.get_running_loop().time()
            return False
        return True


def _text(raw: bytes | str) -> str:
    return raw.decode() if isinstance(raw, bytes) else raw
