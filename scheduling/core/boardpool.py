"""One pool on the lane worker's board: the common queue of all processes and who may fill which slots."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from scheduling.core.estimates import predicted_wait_s
from scheduling.core.fairness import FairQueue, Ticket, TicketId
from scheduling.core.lanes import Lanes, lane_limits
from scheduling.core.messages import PoolOrder, PoolReport
from scheduling.core.shares import Claim, divide, own_share

POOL = ""
"""Key of the pool as a whole beside the lanes' slugs, where slots are counted."""


@dataclass(frozen=True, slots=True)
class Member:
    """A live process, as far as one pool is concerned."""

    processes: int
    report: PoolReport | None
    """None: it has not named this pool yet, and would use its own share if it were asked now."""
    unconfirmed: list[PoolOrder]


@dataclass(slots=True)
class Given:
    ticket: Ticket
    number: int = 0
    """Of the first order that carried it."""


class BoardPool:
    def __init__(self, capacity: int, lanes: Lanes) -> None:
        self.capacity = capacity
        self.lanes = lanes
        self.queue = FairQueue({})
        self.given: dict[TicketId, Given] = {}
        self.refused: dict[TicketId, float] = {}
        self._fresh: dict[TicketId, float] = {}
        self._asked_at = float("-inf")
        self._service_s: dict[str, dict[str, float]] = {}
        self._running: dict[str, int] = {}

    def configure(self, lanes: Lanes, described: PoolReport, now: float) -> None:
        self.lanes = lanes
        self.queue.weights = {lane.slug: lane.weight for lane in lanes.values()}
        if described["asked_s"] is not None and now - described["asked_s"] >= self._asked_at:
            self.capacity, self._asked_at = described["capacity"], now - described["asked_s"]

    def forget(self, process: str) -> None:
        for ticket in self.queue.tickets():
            if ticket.id[0] == process:
                self.queue.remove(ticket.id)
        self.given = {id: given for id, given in self.given.items() if id[0] != process}
        self.refused = {id: wait for id, wait in self.refused.items() if id[0] != process}
        self._service_s.pop(process, None)
        self._running.pop(process, None)

    def sync(self, process: str, described: PoolReport, *, confirmed: int, now: float, rebuilding: bool) -> None:
        """Take over what the process says that waits: gone tickets go, new ones join or are refused."""
        self._service_s[process] = described["service_s"]
        self._running[process] = sum(described["in_flight"].values())
        listed = {
            (process, number): Ticket((process, number), lane, tenant, cost, now - waited_s)
            for number, lane, tenant, cost, waited_s in described["waiting"]
        }
        for id, given in list(self.given.items()):
            if id[0] == process and (id not in listed or 0 < given.number <= confirmed):
                del self.given[id]
        for ticket in self.queue.tickets():
            if ticket.id[0] == process and ticket.id not in listed:
                self.queue.remove(ticket.id)
        self.refused = {id: wait for id, wait in self.refused.items() if id[0] != process or id in listed}
        self._fresh = {}
        for id, ticket in listed.items():
            if id not in self.queue and id not in self.given and id not in self.refused:
                self._welcome(ticket, rebuilding=rebuilding)

    def _welcome(self, ticket: Ticket, *, rebuilding: bool) -> None:
        service_s = self._mean_service_s()
        slots = lane_limits(self.capacity, self.lanes)[ticket.lane]
        running = sum(self._running.values())
        wait = predicted_wait_s(
            self.queue, ticket.lane, ticket.tenant, slots=slots, service_s=service_s, running=running
        )
        if self.queue.depth(ticket.lane) >= self.lanes[ticket.lane].max_queue and not rebuilding:
            self.refused[ticket.id] = wait
        else:
            self._fresh[ticket.id] = wait
            self.queue.push(ticket)

    def plan(self, members: Mapping[str, Member], *, rebuilding: bool) -> dict[str, PoolOrder]:
        """What each live process is told. Gives waiting tickets their slots where several processes wait."""
        waiting = Counter((ticket.id[0], ticket.lane) for ticket in self.queue.tickets())
        waits = {process for process, _ in waiting}
        limits = lane_limits(self.capacity, self.lanes)
        if rebuilding:
            told = {name: self._in_effect(member) for name, member in members.items()}
        else:
            told = self._divided(members, waits, limits)
        bounds = {name: self._bound(name, member, told[name]) for name, member in members.items()}
        if not rebuilding and len(waits) > 1:
            self._give(bounds, limits)
        return {name: self._order(name, told[name], bounds[name][POOL], waiting) for name in members}

    def numbered(self, process: str, order: PoolOrder, number: int) -> None:
        for ticket in order["granted"]:
            given = self.given[process, ticket]
            given.number = given.number or number

    def _divided(
        self, members: Mapping[str, Member], waits: set[str], limits: Mapping[str, int]
    ) -> dict[str, Counter[str]]:
        """By process: the permits of the pool, and beside them those of each lane."""
        told: dict[str, Counter[str]] = {name: Counter() for name in members}
        for key, slots in {POOL: self.capacity, **limits}.items():
            claims = {name: self._claim(name, member, key, waits=name in waits) for name, member in members.items()}
            for name, permits in divide(slots, claims).items():
                told[name][key] = permits
        return told

    def _claim(self, name: str, member: Member, key: str, *, waits: bool) -> Claim:
        running = _running(member.report, key)
        permits = _permits(member, key, self.capacity, self.lanes)
        told = [order["limits"].get(key, 0) if key != POOL else order["permits"] for order in member.unconfirmed]
        return Claim(held=max(running, permits, *told), running=running, granted=self._granted(name, key), waits=waits)

    def _bound(self, name: str, member: Member, told: Counter[str]) -> Counter[str]:
        bound = Counter[str]()
        for key in (POOL, *self.lanes):
            claim = self._claim(name, member, key, waits=False)
            bound[key] = max(claim.held, told[key]) + claim.granted
        return bound

    def _granted(self, process: str, key: str) -> int:
        return sum(1 for id, given in self.given.items() if id[0] == process and key in (POOL, given.ticket.lane))

    def _in_effect(self, member: Member) -> Counter[str]:
        """What the process has now, or would have if it had not heard from the worker that is gone."""
        report = member.report
        if report is None:
            share = own_share(self.capacity, member.processes)
            return Counter({POOL: share, **lane_limits(share, self.lanes)})
        share = max(report["permits"], report["share"])
        limits = report["limits"] if share == report["permits"] else lane_limits(share, self.lanes)
        return Counter({POOL: share, **limits})

    def _give(self, bounds: dict[str, Counter[str]], limits: Mapping[str, int]) -> None:
        taken = Counter[str]()
        for bound in bounds.values():
            taken.update(bound)
        while taken[POOL] < self.capacity:
            ticket = self.queue.pop([lane for lane in limits if taken[lane] < limits[lane]])
            if ticket is None:
                return
            self.given[ticket.id] = Given(ticket)
            for counts in (taken, bounds[ticket.id[0]]):
                counts.update((POOL, ticket.lane))

    def _order(self, name: str, told: Counter[str], share: int, waiting: Counter[tuple[str, str]]) -> PoolOrder:
        others = Counter[str]()
        for (process, lane), count in waiting.items():
            others[lane] += count if process != name else 0
        return {
            "capacity": self.capacity,
            "permits": told[POOL],
            "limits": {lane: told[lane] for lane in self.lanes},
            "share": share,
            "contended": bool(waiting),
            "others": dict(+others),
            "granted": [id[1] for id in self.given if id[0] == name],
            "refused": [(id[1], wait) for id, wait in self.refused.items() if id[0] == name],
            "predicted": [(id[1], wait) for id, wait in self._fresh.items() if id[0] == name],
        }

    def _mean_service_s(self) -> dict[str, float]:
        samples: dict[str, list[float]] = {}
        for by_lane in self._service_s.values():
            for lane, seconds in by_lane.items():
                samples.setdefault(lane, []).append(seconds)
        return {lane: sum(seconds) / len(seconds) for lane, seconds in samples.items()}


def _running(report: PoolReport | None, key: str) -> int:
    if report is None:
        return 0
    return report["in_flight"].get(key, 0) if key != POOL else sum(report["in_flight"].values())


def _permits(member: Member, key: str, capacity: int, lanes: Lanes) -> int:
    if member.report is not None:
        return member.report["limits"].get(key, 0) if key != POOL else member.report["permits"]
    share = own_share(capacity, member.processes)
    return lane_limits(share, lanes)[key] if key != POOL else share
