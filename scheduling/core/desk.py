"""The side of a web process: its pools, its waiting requests, and what it makes of the worker's orders."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

from scheduling.core.estimates import predicted_wait_s, smoothed
from scheduling.core.fairness import Ticket, TicketId
from scheduling.core.lanes import LanePool, Lanes, lane_limits
from scheduling.core.messages import Order, PoolOrder, PoolReport, Report
from scheduling.core.shares import own_share


@dataclass(slots=True)
class DeskPool:
    name: str
    capacity: int
    slots: LanePool
    share: int
    asked_at: float | None = None
    contended: bool = False
    others: dict[str, int] = field(default_factory=dict)
    service_s: dict[str, float] = field(default_factory=dict)

    @property
    def exhausted(self) -> bool:
        return self.slots.total >= self.slots.permits

    @property
    def usable(self) -> int:
        return max(1, self.share, self.slots.permits)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an order means for one waiting request."""

    pool: DeskPool
    id: TicketId
    kind: str
    """granted | refused | predicted"""
    predicted_s: float = 0.0


class Desk:
    def __init__(self, process: str, processes: int, lanes: Lanes) -> None:
        self.process = process
        self.processes = processes
        self.lanes = lanes
        self.pools: dict[str, DeskPool] = {}
        self.alone = True
        """No worker answers: this process decides with its last share."""
        self.worker = ""
        self.order = 0

    def asked(self, name: str, capacity: int, now: float) -> DeskPool:
        """The pool that a request asks for, with the capacity that it has by now."""
        pool = self._pool(name, capacity)
        pool.asked_at = now
        if pool.capacity != capacity:
            pool.capacity = capacity
            if self.alone:
                pool.share = min(capacity, max(pool.share, own_share(capacity, self.processes)))
                self._stand_alone(pool)
        return pool

    def configure(self, lanes: Lanes) -> None:
        if lanes == self.lanes:
            return
        self.lanes = lanes
        for pool in self.pools.values():
            pool.slots.configure(lanes)
            if self.alone:
                self._stand_alone(pool)

    def depth(self, pool: DeskPool, lane: str) -> int:
        """Waiting requests of the lane in all processes, as far as this one knows."""
        return pool.slots.queue.depth(lane) + pool.others.get(lane, 0)

    def queue_is_full(self, pool: DeskPool, lane: str) -> bool:
        bound = self.lanes[lane].max_queue
        if self.alone:
            bound = ceil(bound / max(1, self.processes))
        return self.depth(pool, lane) >= bound

    def predicted_s(self, pool: DeskPool, lane: str, tenant: str) -> float:
        slots = min(pool.usable, lane_limits(pool.usable, self.lanes)[lane])
        return predicted_wait_s(
            pool.slots.queue, lane, tenant, slots=slots, service_s=pool.service_s, running=pool.slots.total
        )

    def release(self, pool: DeskPool, lane: str, service_s: float) -> None:
        pool.slots.release(lane)
        pool.service_s[lane] = smoothed(pool.service_s.get(lane), service_s)

    def report(self, *, seq: int, reply: str, now: float) -> Report:
        return {
            "type": "lanes.report",
            "process": self.process,
            "reply": reply,
            "seq": seq,
            "processes": self.processes,
            "worker": self.worker,
            "order": self.order,
            "lanes": [
                (
                    lane.slug,
                    lane.weight,
                    lane.protected_percent,
                    lane.max_queue,
                    lane.wait_slo_ms,
                    lane.degraded_max_tokens,
                )
                for lane in self.lanes.values()
            ],
            "pools": {name: _describe(pool, now) for name, pool in self.pools.items()},
            "leaving": False,
        }

    def apply(self, order: Order) -> Iterator[Outcome]:
        """Yields outcomes one by one; what the caller changes in between (a release, say) is taken into account."""
        if order["worker"] == self.worker and order["number"] <= self.order:
            return
        self.worker, self.order = order["worker"], order["number"]
        self.alone = False
        for name, told in order["pools"].items():
            yield from self._apply_to_pool(self._pool(name, told["capacity"]), told)

    def stand_alone(self) -> None:
        """The worker is silent: go on with the last share, and at least one slot, until it answers again."""
        self.alone = True
        for pool in self.pools.values():
            self._stand_alone(pool)

    def _pool(self, name: str, capacity: int) -> DeskPool:
        pool = self.pools.get(name)
        if pool is None:
            share = own_share(capacity, self.processes)
            pool = self.pools[name] = DeskPool(name, capacity, LanePool(share, self.lanes), share)
        return pool

    def _stand_alone(self, pool: DeskPool) -> None:
        pool.share = max(1, pool.share)
        pool.contended = False
        pool.others = {}
        pool.slots.set_permits(pool.share, lane_limits(pool.share, self.lanes))

    def _apply_to_pool(self, pool: DeskPool, told: PoolOrder) -> Iterator[Outcome]:
        pool.share = told["share"]
        pool.contended = told["contended"]
        pool.others = told["others"]
        pool.slots.set_permits(told["permits"], told["limits"])
        for number in told["granted"]:
            ticket = pool.slots.grant((self.process, number))
            if ticket is not None:
                yield Outcome(pool, ticket.id, "granted")
        for number, predicted_s in told["refused"]:
            if pool.slots.cancel((self.process, number)):
                yield Outcome(pool, (self.process, number), "refused", predicted_s)
        for number, predicted_s in told["predicted"]:
            yield Outcome(pool, (self.process, number), "predicted", predicted_s)


def _describe(pool: DeskPool, now: float) -> PoolReport:
    return {
        "capacity": pool.capacity,
        "asked_s": None if pool.asked_at is None else now - pool.asked_at,
        "permits": pool.slots.permits,
        "limits": dict(pool.slots.limits),
        "share": pool.share,
        "in_flight": dict(pool.slots.in_flight),
        "waiting": [_line(ticket, now) for ticket in pool.slots.queue.tickets()],
        "service_s": dict(pool.service_s),
    }


def _line(ticket: Ticket, now: float) -> tuple[int, str, str, int, float]:
    return (ticket.id[1], ticket.lane, ticket.tenant, ticket.cost, now - ticket.arrived)
