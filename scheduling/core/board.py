"""The lane worker's memory: what the processes reported, what they were told, and the plan that follows.

Promise: over all processes, running requests and permits that may still be in effect never exceed a pool's capacity,
nor a lane's limit. So a slot is given away only after the process that held it confirmed the lower number. The board
is built from reports alone; for one lease after its start it hands out nothing beyond what they show in effect.
Only where the worker dies between two orders of one plan may a slot that was moving be used twice for that long.
"""

from collections import deque
from dataclasses import dataclass, field

from scheduling.core.boardpool import BoardPool, Member
from scheduling.core.lanes import LaneConfig, Lanes
from scheduling.core.messages import Order, PoolOrder, Report

LEASE_S = 3.0


@dataclass(slots=True)
class Process:
    reply: str
    report: Report
    seen: float
    confirmed: int = 0
    """Number of the last order that it applied."""
    sent: deque[tuple[int, dict[str, PoolOrder]]] = field(default_factory=deque)
    """Orders that are not confirmed yet: each may be in effect."""
    last: dict[str, PoolOrder] = field(default_factory=dict)


class Board:
    def __init__(self, worker: str, now: float) -> None:
        self.worker = worker
        self.rebuilt_at = now + LEASE_S
        self.processes: dict[str, Process] = {}
        self.pools: dict[str, BoardPool] = {}
        self.number = 0

    def hear(self, report: Report, now: float) -> list[tuple[str, Order]]:
        """Take in a report. Returns orders with the channels to send them to, first the reporter's."""
        known = self.processes.get(report["process"])
        if known is not None and report["seq"] <= known.report["seq"]:
            return []
        gone = [name for name, process in self.processes.items() if now - process.seen > LEASE_S]
        self._forget([*gone, report["process"]] if report["leaving"] else gone)
        if report["leaving"]:
            return []
        process = self._remember(report, now)
        self._sync(report, process, now)
        told = {
            name: pool.plan(self._members(name), rebuilding=now < self.rebuilt_at) for name, pool in self.pools.items()
        }
        return [self._order(name, told) for name in self._addressees(report["process"], told)]

    def _forget(self, names: list[str]) -> None:
        for name in names:
            self.processes.pop(name, None)
            for pool in self.pools.values():
                pool.forget(name)

    def _remember(self, report: Report, now: float) -> Process:
        process = self.processes.setdefault(report["process"], Process(report["reply"], report, now))
        process.reply, process.report, process.seen = report["reply"], report, now
        if report["worker"] == self.worker:
            process.confirmed = report["order"]
            while process.sent and process.sent[0][0] <= process.confirmed:
                process.sent.popleft()
        return process

    def _sync(self, report: Report, process: Process, now: float) -> None:
        lanes = _lanes(report)
        for name, described in report["pools"].items():
            pool = self.pools.get(name)
            if pool is None:
                pool = self.pools[name] = BoardPool(described["capacity"], lanes)
            pool.configure(lanes, described, now)
            pool.sync(
                report["process"], described, confirmed=process.confirmed, now=now, rebuilding=now < self.rebuilt_at
            )

    def _members(self, pool: str) -> dict[str, Member]:
        return {
            name: Member(
                processes=process.report["processes"],
                report=process.report["pools"].get(pool),
                unconfirmed=[orders[pool] for _, orders in process.sent if pool in orders],
            )
            for name, process in self.processes.items()
        }

    def _addressees(self, reporter: str, told: dict[str, dict[str, PoolOrder]]) -> list[str]:
        others = [
            name for name, process in self.processes.items() if name != reporter and self._is_news(name, process, told)
        ]
        return [reporter, *others]

    def _is_news(self, name: str, process: Process, told: dict[str, dict[str, PoolOrder]]) -> bool:
        return any(_essence(orders[name]) != _essence(process.last.get(pool)) for pool, orders in told.items())

    def _order(self, name: str, told: dict[str, dict[str, PoolOrder]]) -> tuple[str, Order]:
        process = self.processes[name]
        self.number += 1
        pools = {pool: orders[name] for pool, orders in told.items()}
        process.sent.append((self.number, pools))
        process.last = pools
        for pool, orders in pools.items():
            self.pools[pool].numbered(name, orders, self.number)
        return process.reply, {
            "type": "lanes.order",
            "worker": self.worker,
            "number": self.number,
            "seq": process.report["seq"],
            "pools": pools,
        }


def _essence(order: PoolOrder | None) -> tuple[object, ...] | None:
    """What is worth a message of its own; the rest can wait for the answer to the next report."""
    return order and (order["permits"], order["limits"], order["granted"], order["refused"], order["contended"])


def _lanes(report: Report) -> Lanes:
    return {line[0]: LaneConfig(*line) for line in report["lanes"]}
