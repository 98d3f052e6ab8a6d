"""What is wrong now against what was known to be wrong: which alerts begin and which are over."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

QUIET_S = 120.0  # a condition that was not met for so long is over: one that flickers is told once
LONGEST_WAIT_S = 3600.0
TRIES = 10  # of a message, over about five hours


@dataclass(frozen=True, slots=True)
class Condition:
    """``key`` tells conditions apart, and is another one in the next window of a quota. ``tenant_id`` None: the
    platform's. ``title`` is one line."""

    key: str
    kind: str
    tenant_id: int | None
    title: str
    detail: str


@dataclass(frozen=True, slots=True)
class Found:
    """``unknown``: kinds of which nothing could be found out, so that their alerts are neither begun nor over."""

    conditions: tuple[Condition, ...]
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Open:
    """An alert that is told and not over. ``seen_at``: when its condition was met last, in epoch seconds."""

    kind: str
    seen_at: float


@dataclass(frozen=True, slots=True)
class Changes:
    begun: tuple[Condition, ...]
    seen: tuple[str, ...]  # keys of those that go on
    over: tuple[str, ...]


def compare(known: Mapping[str, Open], found: Found, now: float) -> Changes:
    by_key = {condition.key: condition for condition in found.conditions}
    return Changes(
        begun=tuple(condition for key, condition in by_key.items() if key not in known),
        seen=tuple(key for key in known if key in by_key),
        over=tuple(key for key, alert in known.items() if key not in by_key and _is_over(alert, found.unknown, now)),
    )


def _is_over(alert: Open, unknown: Collection[str], now: float) -> bool:
    return alert.kind not in unknown and now - alert.seen_at >= QUIET_S


def wait_s(tries: int) -> float | None:
    """How long after this many failed tries the next one follows; None: no more."""
    return None if tries >= TRIES else min(LONGEST_WAIT_S, 60.0 * 2.0 ** (tries - 1))
