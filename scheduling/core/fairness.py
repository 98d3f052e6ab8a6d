"""The order of waiting requests: fair between lanes by weight, fair between the tenants of a lane by tokens.

Both levels count what was served in virtual units and let the least served go first. Who comes back after a pause
is lifted to the least served of those who wait (else to the last one served), so that a pause saves up no credit.
Within one tenant the order is first come, first served.
"""

from bisect import insort
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

TicketId = tuple[str, int]
"""The process that waits, and its own number for the request."""


@dataclass(frozen=True, slots=True)
class Ticket:
    id: TicketId
    lane: str
    tenant: str
    cost: int
    arrived: float


class Counters:
    """Virtual units served, by name. ``floor`` is where the last one served began; it only rises."""

    __slots__ = ("_prune_at", "floor", "served")

    def __init__(self) -> None:
        self.served: dict[str, float] = {}
        self.floor = 0.0
        self._prune_at = 256

    def position(self, name: str) -> float:
        return max(self.served.get(name, 0.0), self.floor)

    def join(self, name: str, rivals: Iterable[str]) -> None:
        least = min(map(self.position, rivals), default=self.floor)
        self.served[name] = max(self.served.get(name, 0.0), least)

    def charge(self, name: str, units: float, *, in_turn: bool = True) -> None:
        """Who is served out of turn must not lift the others' floor."""
        start = self.position(name)
        if in_turn:
            self.floor = start
        self.served[name] = start + units
        if len(self.served) > self._prune_at:
            self.served = {name: units for name, units in self.served.items() if units > self.floor}
            self._prune_at = 2 * len(self.served) + 256


class FairQueue:
    """Waiting tickets of one pool. Cost of a turn: tokens between tenants, tokens / weight between lanes."""

    __slots__ = ("_lanes", "_tenant_turns", "_tickets", "_turns", "_waiting", "weights")

    def __init__(self, weights: Mapping[str, int]) -> None:
        self.weights = weights
        self._turns = Counters()
        self._tenant_turns: dict[str, Counters] = {}
        self._waiting: dict[str, dict[str, list[Ticket]]] = {}
        self._tickets: dict[TicketId, Ticket] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, id: TicketId) -> bool:
        return id in self._tickets

    def tickets(self) -> list[Ticket]:
        return list(self._tickets.values())

    def depths(self) -> dict[str, int]:
        """Waiting requests of each lane that has some."""
        return {lane: sum(map(len, tenants.values())) for lane, tenants in self._waiting.items()}

    def depth(self, lane: str) -> int:
        return sum(map(len, self._waiting.get(lane, {}).values()))

    def depths_by_tenant(self, lane: str) -> dict[str, int]:
        return {tenant: len(tickets) for tenant, tickets in self._waiting.get(lane, {}).items()}

    def push(self, ticket: Ticket) -> None:
        self._join(ticket.lane, ticket.tenant)
        tenants = self._waiting.setdefault(ticket.lane, {})
        insort(tenants.setdefault(ticket.tenant, []), ticket, key=attrgetter("arrived"))
        self._tickets[ticket.id] = ticket

    def pop(self, lanes: Collection[str]) -> Ticket | None:
        """Take the next ticket out of these lanes and charge for it."""
        eligible = [lane for lane in self._waiting if lane in lanes]
        if not eligible:
            return None
        lane = min(eligible, key=self._turns.position)
        turns = self._tenant_turns[lane]
        heads = {tenant: tickets[0] for tenant, tickets in self._waiting[lane].items()}
        ticket = min(heads.values(), key=lambda head: (turns.position(head.tenant), head.arrived, head.id))
        self.remove(ticket.id)
        self._charge(lane, ticket.tenant, ticket.cost, in_turn=True)
        return ticket

    def take(self, id: TicketId) -> Ticket | None:
        """Take this ticket, whoever's turn it is, and charge for it. None: it does not wait here."""
        ticket = self.remove(id)
        if ticket is not None:
            self._charge(ticket.lane, ticket.tenant, ticket.cost, in_turn=False)
        return ticket

    def pass_through(self, lane: str, tenant: str, cost: int) -> None:
        """Charge a request that found a free slot and never waited."""
        self._join(lane, tenant)
        self._charge(lane, tenant, cost, in_turn=not self._waiting.get(lane))

    def remove(self, id: TicketId) -> Ticket | None:
        ticket = self._tickets.pop(id, None)
        if ticket is None:
            return None
        tenants = self._waiting[ticket.lane]
        tenants[ticket.tenant].remove(ticket)
        if not tenants[ticket.tenant]:
            del tenants[ticket.tenant]
        if not tenants:
            del self._waiting[ticket.lane]
        return ticket

    def _join(self, lane: str, tenant: str) -> None:
        turns = self._tenant_turns.setdefault(lane, Counters())
        tenants = self._waiting.get(lane)
        if not tenants:
            self._turns.join(lane, self._waiting)
            turns.join(tenant, ())
        elif tenant not in tenants:
            turns.join(tenant, tenants)

    def _charge(self, lane: str, tenant: str, cost: int, *, in_turn: bool) -> None:
        self._turns.charge(lane, max(1, cost) / self.weights[lane], in_turn=in_turn)
        self._tenant_turns[lane].charge(tenant, max(1, cost), in_turn=in_turn)
