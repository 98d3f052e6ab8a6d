"""One pool of slots shared by the lanes, as one process sees it: who runs, who waits, who is next.

A pool is a deployment. A process may fill ``permits`` of its slots, and of these at most ``limits[lane]`` with each
lane. The queue is work-conserving: while a slot is free, nobody waits whose lane has room.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from scheduling.core.fairness import FairQueue, Ticket, TicketId


@dataclass(frozen=True, slots=True)
class LaneConfig:
    slug: str
    weight: int
    protected_percent: int
    max_queue: int
    wait_slo_ms: int
    degraded_max_tokens: int


Lanes = Mapping[str, LaneConfig]

DEFAULT_LANES: Lanes = {
    "short": LaneConfig("short", 3, 25, 200, 2_000, 64),
    "long": LaneConfig("long", 1, 0, 100, 15_000, 512),
}
"""The rows that the first migration makes, and what holds until they are read."""


def lane_limits(capacity: int, lanes: Lanes) -> dict[str, int]:
    """How many of these slots each lane may fill: all but those protected for the others, and always one."""
    most = max(0, capacity - 1)
    protected = {lane.slug: min(ceil(capacity * lane.protected_percent / 100), most) for lane in lanes.values()}
    total = sum(protected.values())
    return {slug: max(min(capacity, 1), capacity - total + own) for slug, own in protected.items()}


class LanePool:
    __slots__ = ("in_flight", "limits", "permits", "queue", "total")

    def __init__(self, permits: int, lanes: Lanes) -> None:
        self.permits = permits
        self.limits = lane_limits(permits, lanes)
        self.queue = FairQueue({lane.slug: lane.weight for lane in lanes.values()})
        self.in_flight = dict.fromkeys(lanes, 0)
        self.total = 0

    def start(self, lane: str, tenant: str, cost: int) -> bool:
        """Take a free slot at once. When one is free nobody is ahead: those who wait have no room in their lane."""
        if self.total >= self.permits or self.in_flight[lane] >= self.limits[lane]:
            return False
        self.queue.pass_through(lane, tenant, cost)
        self._occupy(lane)
        return True

    def enqueue(self, ticket: Ticket) -> None:
        self.queue.push(ticket)

    def cancel(self, id: TicketId) -> bool:
        return self.queue.remove(id) is not None

    def release(self, lane: str) -> None:
        self.in_flight[lane] -= 1
        self.total -= 1

    def grant(self, id: TicketId) -> Ticket | None:
        """Start a ticket that was given a slot from elsewhere, beyond this pool's own permits."""
        ticket = self.queue.take(id)
        if ticket is not None:
            self._occupy(ticket.lane)
        return ticket

    def next_grant(self) -> Ticket | None:
        """Start the next waiting ticket, if a slot is free for it."""
        if self.total >= self.permits or not len(self.queue):
            return None
        ticket = self.queue.pop([lane for lane, used in self.in_flight.items() if used < self.limits[lane]])
        if ticket is not None:
            self._occupy(ticket.lane)
        return ticket

    def configure(self, lanes: Lanes) -> None:
        """Take over edited weights. The limits follow with the next permits."""
        self.queue.weights = {lane.slug: lane.weight for lane in lanes.values()}

    def set_permits(self, permits: int, limits: Mapping[str, int]) -> None:
        """Fewer permits than running requests take nothing away from those that run."""
        self.permits = permits
        self.limits = {lane: limits.get(lane, permits) for lane in self.in_flight}

    def _occupy(self, lane: str) -> None:
        self.in_flight[lane] += 1
        self.total += 1
