"""The wire between a web process and the lane worker: reports out, orders in, and whether the worker is silent.

While something changes under contention a report goes out every few milliseconds, paced by the worker's answers;
otherwise four a second. Nothing here may fail a request: what is lost is said again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

from scheduling.core.messages import Order, Report

CHANNEL = "lanes"
BATCH_S = 0.005
PACE_S = 0.1
HEARTBEAT_S = 0.25
SILENT_S = 1.0
SEND_S = 0.5
log = logging.getLogger("relay.lanes")


class ChannelLayer(Protocol):
    async def new_channel(self) -> str: ...
    async def send(self, channel: str, message: dict[str, Any]) -> None: ...
    async def receive(self, channel: str) -> dict[str, Any]: ...


class Link:
    def __init__(
        self,
        layer: ChannelLayer,
        *,
        describe: Callable[[int, str], Report],
        obey: Callable[[Order], None],
        silent: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.layer = layer
        self.describe = describe
        self.obey = obey
        self.silent = silent
        self.clock = clock
        self.alive = False
        self._heard_at = float("-inf")
        self._sent: deque[tuple[int, float]] = deque()
        self._seq = 0
        self._reply = ""
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._failing = False

    async def start(self) -> None:
        self._reply = await self.layer.new_channel()
        self._tasks = [asyncio.create_task(self._report_forever()), asyncio.create_task(self._listen_forever())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        with suppress(Exception):
            await self._report(leaving=True)

    def nudge(self) -> None:
        """Something changed that the worker should know before the next heartbeat."""
        if self.alive:
            self._changed.set()

    async def _report_forever(self) -> None:
        while True:
            try:
                await self._report()
                self._failing = False
            except Exception as error:
                self._troubled(error)
            if await _within(HEARTBEAT_S, self._changed):
                await asyncio.sleep(BATCH_S)
                await _within(PACE_S, self._answered)
            if self.alive and self.clock() - self._heard_at > SILENT_S:
                self.alive = False
                log.warning("lanes: the worker is silent, going on with the last share")
                self.silent()

    async def _report(self, *, leaving: bool = False) -> None:
        self._changed.clear()
        self._answered.clear()
        self._seq += 1
        now = self.clock()
        while self._sent and now - self._sent[0][1] > SILENT_S:
            self._sent.popleft()
        self._sent.append((self._seq, now))
        async with asyncio.timeout(SEND_S):
            await self.layer.send(CHANNEL, {**self.describe(self._seq, self._reply), "leaving": leaving})

    async def _listen_forever(self) -> None:
        while True:
            try:
                self._hear(cast(Order, await self.layer.receive(self._reply)))
            except Exception as error:
                self._troubled(error)
                await asyncio.sleep(HEARTBEAT_S)

    def _hear(self, order: Order) -> None:
        """An order that answers a report of long ago lay in a queue; what it says may no longer hold."""
        if not self._sent or order["seq"] < self._sent[0][0]:
            return
        if not self.alive:
            log.info("lanes: the worker answers")
        self.alive = True
        self._heard_at = self.clock()
        self.obey(order)
        if order["seq"] == self._seq:
            self._answered.set()

    def _troubled(self, error: Exception) -> None:
        """Reported once per trouble; a full channel is what a missing worker looks like."""
        if not self._failing:
            log.warning("lanes: cannot reach the worker", extra={"error": f"{type(error).__name__}: {error}"})
        self._failing = True


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Not by ``asyncio.wait_for``: before Python 3.12 it swallows a cancellation that comes with the event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
