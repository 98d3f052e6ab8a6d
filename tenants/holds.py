"""What one request holds of which counters, and how that is said to Redis."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tenants.core.limits import Counter, Limit, counter_of
from tenants.core.spend import NOTHING, Left, Spend, left_of
from tenants.redis import Command
from tenants.scripts import COUNTERS, EPOCH, HOLD, PROCESSES, SETTLE, settled_key


class QuotaSpent(Exception):
    """``spent`` is the limit that refused, ``left`` are all of the caller's."""

    def __init__(self, spent: Left, left: tuple[Left, ...]) -> None:
        super().__init__(spent.limit.words)
        self.limit, self.used, self.resets_in_s = spent.limit, spent.used, spent.resets_in_s
        self.left = left


@dataclass(frozen=True, slots=True)
class Part:
    """``amount`` in the counter's steps."""

    counter: Counter
    amount: int


Parts = tuple[Part, ...]


def parts_of(limits: Sequence[Limit], spend: Spend, at: float) -> Parts:
    return tuple(Part(counter_of(limit, at), spend.of(limit.metric)) for limit in limits)


@dataclass(frozen=True, slots=True)
class Hold:
    """The caller's parts must all fit; of the groups (one a deployment) the first that fits is taken."""

    id: str
    caller: Parts
    groups: tuple[Parts, ...] = ()

    @property
    def parts(self) -> Parts:
        return sum(self.groups, self.caller)

    def command(self, run_id: str, generation: str, process: str) -> Command:
        keys = [EPOCH, PROCESSES, COUNTERS, f"relay:{{ledger}}:hold:{self.id}"]
        argv: list[Any] = [run_id, generation, process, len(self.caller), len(self.groups), *map(len, self.groups)]
        for part in self.parts:
            limit = part.counter.limit
            keys.append(part.counter.key)
            argv += (part.amount, limit.limit * limit.unit if limit.hard else "", part.counter.expires)
        return HOLD.command(keys, *argv)

    def read(self, reply: Any, now: float) -> "Taken":
        """Raises QuotaSpent if a hard limit of the caller would have been passed; then nothing is held."""
        over, chosen, used = reply
        counted = iter(used)
        left = tuple(_left(part, steps, now) for part, steps in zip(self.caller, counted, strict=False))
        if over:
            raise QuotaSpent(left[over - 1], left)
        groups = tuple(tuple(_left(part, next(counted), now) for part in group) for group in self.groups)
        return Taken(left, None if chosen < 0 else int(chosen), groups)


def _left(part: Part, steps: int, now: float) -> Left:
    return left_of(part.counter.limit, int(steps), max(1, int(part.counter.end - now) + 1))


@dataclass(frozen=True, slots=True)
class Taken:
    """A hold that was taken: what is left of the caller's limits and of each group's; ``chosen``: which group."""

    left: tuple[Left, ...]
    chosen: int | None
    groups: tuple[tuple[Left, ...], ...]


SURE, CALLER = -2, -1


@dataclass(frozen=True, slots=True)
class Item:
    """One counter of a settlement. ``group`` is SURE if ``held`` is known to be held; else whether it is stands under
    the hold's id: for a part of the CALLER it is if the hold happened, for one of a group if that was chosen."""

    key: str
    held: int
    actual: int
    expires: int
    group: int = SURE


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is to be counted of one trace. ``hold`` is the id of its last hold."""

    trace: str
    process: str
    hold: str
    items: tuple[Item, ...]

    def command(self, stream: str, trace: bytes) -> Command:
        """Counts and appends the trace; sent twice it does so once."""
        ids = [settled_key(self.trace), COUNTERS, f"relay:{{ledger}}:hold:{self.hold}"]
        keys, argv = [EPOCH, stream, *ids], list[Any]([trace, self.process])
        for item in self.items:
            keys.append(item.key)
            argv += (item.held, item.actual, item.expires, item.group)
        return SETTLE.command(keys, *argv)

    def dump(self) -> bytes:
        items = [(item.key, item.held, item.actual, item.expires, item.group) for item in self.items]
        return orjson.dumps([self.trace, self.process, self.hold, items])

    @classmethod
    def load(cls, raw: bytes) -> "Settlement":
        trace, process, hold, items = orjson.loads(raw)
        return cls(trace, process, hold, tuple(Item(*item) for item in items))


@dataclass(slots=True)
class Account:
    """One request's: what it holds, what it is charged. ``at`` (epoch seconds) places it in its windows."""

    trace: str
    at: float
    passed: bool = False  # the gate: from here on it counts as a request of its caller
    caller: Spend = NOTHING
    deployments: dict[str, Spend] = field(default_factory=dict)
    _held: Parts = ()
    _asked: Hold | None = None
    _last: str = ""
    _number: int = 0

    def asking(self, caller: Parts, groups: tuple[Parts, ...] = ()) -> Hold:
        self._number += 1
        self._last = f"{self.trace}:{self._number}"
        self._asked = Hold(self._last, caller, groups)
        return self._asked

    def took(self, hold: Hold, taken: Taken | None) -> Parts:
        """What is held of what was asked for; nothing if it was refused."""
        self._asked = None
        held: Parts = ()
        if taken is not None:
            held = hold.caller if taken.chosen is None else hold.caller + hold.groups[taken.chosen]
            self._held += held
        return held

    def charge(self, deployment: str, spend: Spend) -> None:
        """An attempt's part; the caller's one request is counted when it passes the gate."""
        self.deployments[deployment] = self.deployments.get(deployment, NOTHING) + spend
        self.caller += Spend(0, spend.tokens, spend.cost, spend.neurons)

    def passes(self) -> None:
        self.passed = True
        self.caller += Spend(requests=1)

    def settlement(self, process: str) -> Settlement | None:
        """None if no counter is concerned."""
        items = [self._item(part, SURE) for part in self._held]
        if self._asked is not None:
            items += [self._item(part, CALLER) for part in self._asked.caller]
            items += [self._item(part, group) for group, parts in enumerate(self._asked.groups) for part in parts]
        return Settlement(self.trace, process, self._last, tuple(items)) if items else None

    def _item(self, part: Part, group: int) -> Item:
        return Item(part.counter.key, part.amount, self._actual(part), part.counter.expires, group)

    def _actual(self, part: Part) -> int:
        limit = part.counter.limit
        spend = self.deployments.get(limit.deployment, NOTHING) if limit.deployment else self.caller
        return spend.of(limit.metric)
