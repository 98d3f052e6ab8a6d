"""How many second calls requests may cause: a share of the traffic, so that a broad outage cannot double the load.

Requests and second calls are counted in stretches of WINDOW_S seconds; the last whole one and the running one count
together. So whenever a second call is made, those of both stretches are at most ``share`` of their requests plus
``floor``, which lets a quiet process fail over at all. Each process counts for itself. Every ``now`` is in seconds of
one clock that never goes back.
"""

from dataclasses import dataclass

WINDOW_S = 10


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events in this stretch, and in the one before."""

    window: int = 0
    now: int = 0
    before: int = 0

    @property
    def both(self) -> int:
        return self.now + self.before


@dataclass(frozen=True, slots=True)
class Budget:
    share: float
    floor: int
    spent: Traffic = Traffic()


RETRIES = Budget(share=0.10, floor=60)  # 3 a second
HEDGES = Budget(share=0.05, floor=20)


def counted(traffic: Traffic, now: float, events: int = 1) -> Traffic:
    window = int(now // WINDOW_S)
    if window == traffic.window:
        return Traffic(window, traffic.now + events, traffic.before)
    return Traffic(window, events, traffic.now if traffic.window == window - 1 else 0)


def granted(budget: Budget, requests: Traffic, now: float) -> int:
    """Second calls that both stretches together allow."""
    return int(budget.share * counted(requests, now, 0).both) + budget.floor


def spend(budget: Budget, requests: Traffic, now: float) -> tuple[Budget, bool]:
    """One more second call, if it may be."""
    spent = counted(budget.spent, now)
    if spent.both > granted(budget, requests, now):
        return budget, False
    return Budget(budget.share, budget.floor, spent), True
