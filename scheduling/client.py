"""Admission of requests in a web process: at once when a slot is free, else in fair order, else refused.

async with lanes.admission(ask) as grant:   # QueueFull: no place, come back after retry_after_s
    ...                                      # the slot is returned however the block ends
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from scheduling.core.desk import Desk, DeskPool, Outcome
from scheduling.core.estimates import degraded_tokens, retry_after_s
from scheduling.core.fairness import Ticket, TicketId
from scheduling.core.lanes import DEFAULT_LANES, LaneConfig, Lanes
from scheduling.core.messages import Order, Report
from scheduling.link import ChannelLayer, Link

DecidedBy = Literal["in-process", "worker", "last-share"]
FREE_SLOT = "A slot was free, so the request started at once."
FREE_SLOT_ALONE = (
    "The lane worker does not answer; a slot of this process's last share was free, so the request started at once."
)
STOPPING = "This process is shutting down."


@dataclass(frozen=True, slots=True)
class Ask:
    pool: str
    capacity: int
    lane: str
    tenant: str
    cost_tokens: int
    max_tokens: int | None
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Grant:
    decision: Literal["granted", "degraded"]
    max_tokens: int | None
    queue_wait_ms: float
    predicted_wait_ms: float
    queue_depth: int
    """Requests that waited in the lane, in all processes, when this one came."""
    decided_by: DecidedBy
    reason: str


class QueueFull(Exception):
    """No slot for this request now: the lane's queue is full, or it waited for as long as it may."""

    def __init__(
        self, *, pool: str, lane: str, queue_depth: int, retry_after_s: int, decided_by: DecidedBy, reason: str
    ) -> None:
        super().__init__(reason)
        self.pool = pool
        self.lane = lane
        self.queue_depth = queue_depth
        self.retry_after_s = retry_after_s
        self.decided_by = decided_by
        self.reason = reason


@dataclass(slots=True)
class Waiter:
    ask: Ask
    pool: DeskPool
    id: TicketId
    since: float
    depth: int
    predicted_s: float
    future: asyncio.Future[Grant]
    timer: asyncio.TimerHandle


class LaneClient:
    """One for each process and event loop."""

    def __init__(
        self,
        channel_layer: ChannelLayer,
        *,
        lanes: Callable[[], Mapping[str, LaneConfig]],
        processes: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lanes = lanes
        self._clock = clock
        self._desk = Desk(uuid.uuid4().hex, processes, _complete(lanes()))
        self._waiters: dict[TicketId, Waiter] = {}
        self._number = 0
        self._link = Link(
            channel_layer, describe=self._describe, obey=self._obey, silent=self._fall_silent, clock=clock
        )

    async def start(self) -> None:
        await self._link.start()

    async def stop(self) -> None:
        await self._link.stop()
        for waiter in list(self._waiters.values()):
            waiter.pool.slots.cancel(waiter.id)
            self._refuse(waiter, waiter.predicted_s, self._decider(), STOPPING)

    def admission(self, ask: Ask) -> "Admission":
        return Admission(self, ask)

    def snapshot(self) -> dict[str, Any]:
        """For the status page: no tenant is named."""
        return {
            "worker_alive": not self._desk.alone,
            "pools": {
                name: {
                    "capacity": pool.capacity,
                    "permits": pool.slots.permits,
                    "lanes": {
                        lane: {
                            "in_flight": in_flight,
                            "waiting": pool.slots.queue.depth(lane),
                            "waiting_elsewhere": pool.others.get(lane, 0),
                            "limit": pool.slots.limits[lane],
                        }
                        for lane, in_flight in pool.slots.in_flight.items()
                    },
                }
                for name, pool in self._desk.pools.items()
            },
        }

    def enter(self, ask: Ask) -> tuple[DeskPool, float, Grant | Waiter]:
        """A grant at once, or the place in the queue. Raises QueueFull."""
        now = self._clock()
        pool = self._desk.asked(ask.pool, ask.capacity, now)
        if not pool.slots.start(ask.lane, ask.tenant, ask.cost_tokens):
            return pool, now, self._queue(pool, ask, now)
        if pool.exhausted and pool.slots.permits < pool.capacity:
            self._link.nudge()
        alone = self._desk.alone
        reason = FREE_SLOT_ALONE if alone else FREE_SLOT
        return pool, now, Grant("granted", ask.max_tokens, 0.0, 0.0, 0, "last-share" if alone else "in-process", reason)

    async def wait(self, waiter: Waiter) -> Grant:
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise
        finally:
            waiter.timer.cancel()
            self._waiters.pop(waiter.id, None)

    def leave(self, pool: DeskPool, lane: str, since: float) -> None:
        self._desk.release(pool, lane, self._clock() - since)
        self._serve(pool)
        if pool.contended:
            self._tell(pool)

    def now(self) -> float:
        return self._clock()

    def _queue(self, pool: DeskPool, ask: Ask, now: float) -> Waiter:
        depth = self._desk.depth(pool, ask.lane)
        predicted_s = self._desk.predicted_s(pool, ask.lane, ask.tenant)
        if self._desk.queue_is_full(pool, ask.lane):
            raise _queue_full(ask, depth, predicted_s, self._decider())
        self._number += 1
        id = (self._desk.process, self._number)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(ask.timeout_s, self._time_out, id)
        waiter = Waiter(ask, pool, id, now, depth, predicted_s, loop.create_future(), timer)
        self._waiters[id] = waiter
        pool.slots.enqueue(Ticket(id, ask.lane, ask.tenant, ask.cost_tokens, now))
        self._tell(pool)
        return waiter

    def _serve(self, pool: DeskPool) -> None:
        """Start who is next, as long as there is a slot."""
        decider = self._decider()
        while ticket := pool.slots.next_grant():
            self._deliver(ticket.id, decider)

    def _deliver(self, id: TicketId, decider: DecidedBy) -> None:
        """Tell a waiting request that it has a slot; if it is gone the slot goes back at once."""
        waiter = self._waiters[id]
        if waiter.future.done():
            waiter.pool.slots.release(waiter.ask.lane)
        else:
            waiter.future.set_result(self._grant(waiter, decider))

    def _grant(self, waiter: Waiter, decider: DecidedBy) -> Grant:
        ask, lane = waiter.ask, self._desk.lanes[waiter.ask.lane]
        waited_ms, predicted_ms = (self._clock() - waiter.since) * 1000, waiter.predicted_s * 1000
        reason = f"Waited {waited_ms:.0f} ms, {waiter.depth} in the queue before it; {_GIVEN[decider]}."
        max_tokens = ask.max_tokens
        if predicted_ms > lane.wait_slo_ms:
            max_tokens = degraded_tokens(ask.max_tokens, lane.degraded_max_tokens)
        if max_tokens == ask.max_tokens:
            return Grant("granted", max_tokens, waited_ms, predicted_ms, waiter.depth, decider, reason)
        reason += (
            f" The predicted wait of {predicted_ms:.0f} ms was over the lane's {lane.wait_slo_ms} ms,"
            f" so the answer is limited to {max_tokens} tokens."
        )
        return Grant("degraded", max_tokens, waited_ms, predicted_ms, waiter.depth, decider, reason)

    def _refuse(self, waiter: Waiter, predicted_s: float, decider: DecidedBy, reason: str = "") -> None:
        if not waiter.future.done():
            waiter.future.set_exception(_queue_full(waiter.ask, waiter.depth, predicted_s, decider, reason))

    def _time_out(self, id: TicketId) -> None:
        waiter = self._waiters[id]
        if waiter.pool.slots.cancel(id):
            reason = f"It waited {waiter.ask.timeout_s:g} s in the {waiter.ask.lane} lane and no slot came free."
            predicted_s = self._desk.predicted_s(waiter.pool, waiter.ask.lane, waiter.ask.tenant)
            self._refuse(waiter, predicted_s, self._decider(), reason)
            self._tell(waiter.pool)

    def _abandon(self, waiter: Waiter) -> None:
        """The request was cancelled: its place goes back, or the slot that it was given meanwhile."""
        if waiter.pool.slots.cancel(waiter.id):
            self._tell(waiter.pool)
        elif not waiter.future.cancelled() and waiter.future.exception() is None:
            waiter.pool.slots.release(waiter.ask.lane)
            self._serve(waiter.pool)
            self._tell(waiter.pool)

    def _tell(self, pool: DeskPool) -> None:
        """Soon, unless this process alone waits and gives out slots itself; then the heartbeat will do."""
        if not pool.slots.permits or len(pool.slots.queue) <= 1:
            self._link.nudge()

    def _describe(self, seq: int, reply: str) -> Report:
        self._desk.configure(_complete(self._lanes()))
        return self._desk.report(seq=seq, reply=reply, now=self._clock())

    def _obey(self, order: Order) -> None:
        before = {name: pool.slots.permits for name, pool in self._desk.pools.items()}
        for outcome in self._desk.apply(order):
            self._accept(outcome)
        for name, told in order["pools"].items():
            self._serve(self._desk.pools[name])
            if told["granted"] or told["permits"] < before.get(name, 0):
                self._link.nudge()

    def _accept(self, outcome: Outcome) -> None:
        if outcome.kind == "granted":
            self._deliver(outcome.id, "worker")
        elif outcome.kind == "refused":
            self._refuse(self._waiters[outcome.id], outcome.predicted_s, "worker")
        elif outcome.id in self._waiters:
            self._waiters[outcome.id].predicted_s = outcome.predicted_s

    def _fall_silent(self) -> None:
        self._desk.stand_alone()
        for pool in self._desk.pools.values():
            self._serve(pool)

    def _decider(self) -> DecidedBy:
        return "last-share" if self._desk.alone else "in-process"


class Admission:
    __slots__ = ("_ask", "_client", "_pool", "_since")

    def __init__(self, client: LaneClient, ask: Ask) -> None:
        self._client = client
        self._ask = ask

    async def __aenter__(self) -> Grant:
        self._pool, self._since, place = self._client.enter(self._ask)
        if isinstance(place, Grant):
            return place
        grant = await self._client.wait(place)
        self._since = self._client.now()
        return grant

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.leave(self._pool, self._ask.lane, self._since)


_GIVEN: dict[DecidedBy, str] = {
    "in-process": "then a slot came free in this process",
    "worker": "then the lane worker gave it the next slot in fair order",
    "last-share": "then a slot of this process's last share came free, as the lane worker does not answer",
}


def _complete(lanes: Lanes) -> Lanes:
    """Both lanes always exist, also before their rows are read."""
    return {**DEFAULT_LANES, **lanes}


def _queue_full(ask: Ask, depth: int, predicted_s: float, decider: DecidedBy, reason: str = "") -> QueueFull:
    return QueueFull(
        pool=ask.pool,
        lane=ask.lane,
        queue_depth=depth,
        retry_after_s=retry_after_s(predicted_s),
        decided_by=decider,
        reason=reason or f"The {ask.lane} lane's queue for {ask.pool} is full: {depth} requests wait.",
    )
