"""Geometry of a comparison's pictures, in percent of their own box; templates draw it as SVG and positioned marks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import NamedTuple

POINTS = 200  # of a curve
PAD = 0.08
ROOM = 22  # of a label


class Tick(NamedTuple):
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Curves:
    """Shares of values up to each value, of both runs, as SVG paths in a box of 100 x 100; ``log``: values are drawn at
    their logarithm, as those of latencies spread over several powers of ten."""

    baseline: str
    candidate: str
    ticks: tuple[Tick, ...]
    log: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """A rule's interval beside its bound and, where it means “no change”, 0 (None: it does not)."""

    low: float
    width: float
    estimate: float
    bound: float
    zero: float | None


class Dot(NamedTuple):
    """Cost to the right, quality upwards: a group's before and after."""

    name: str
    x: float
    y: float
    x_after: float
    y_after: float


def curves(baseline: Sequence[float], candidate: Sequence[float], *, logarithmic: bool) -> Curves | None:
    """None: one of them has no value."""
    if not baseline or not candidate:
        return None
    every = [*baseline, *candidate]
    positive = [value for value in every if value > 0]
    use_log = logarithmic and len(positive) == len(every)
    low, high = (min(every), max(every)) if use_log else (min(0.0, *every), max(every))
    scale = _scale(low, high, use_log)
    paths = [_steps(sorted(values), scale) for values in (baseline, candidate)]
    ticks = _log_ticks(low, high, scale) if use_log else _ticks(low, high, scale)
    return Curves(paths[0], paths[1], ticks, use_log)


def _scale(low: float, high: float, use_log: bool) -> Callable[[float], float]:
    if use_log:
        a, b = log10(low), log10(high)
        return lambda value: 100 * (log10(value) - a) / (b - a) if b > a else 50.0
    return lambda value: 100 * (value - low) / (high - low) if high > low else 50.0


def _steps(values: Sequence[float], scale: Callable[[float], float]) -> str:
    many = len(values)
    places = range(many) if many <= POINTS else [round(step * (many - 1) / (POINTS - 1)) for step in range(POINTS)]
    path = ["M0 100"]
    for place in places:
        path.append(f"H{scale(values[place]):.2f}V{100 - 100 * (place + 1) / many:.2f}")
    return "".join([*path, "H100"])


def _log_ticks(low: float, high: float, scale: Callable[[float], float]) -> tuple[Tick, ...]:
    """1, 2, 5, 10, ... where there is room for a label; else the two ends."""
    power = range(floor(log10(low)), floor(log10(high)) + 1)
    round_ones = [digit * 10.0**exponent for exponent in power for digit in (1, 2, 5)]
    return _spaced([value for value in round_ones if low <= value <= high], scale) or _ends(low, high, scale)


def _ticks(low: float, high: float, scale: Callable[[float], float]) -> tuple[Tick, ...]:
    return (
        tuple(Tick(scale(value), value) for value in (low, (low + high) / 2, high))
        if high > low
        else (Tick(50.0, low),)
    )


def _ends(low: float, high: float, scale: Callable[[float], float]) -> tuple[Tick, ...]:
    return (Tick(scale(low), low), Tick(scale(high), high)) if high > low else (Tick(50.0, low),)


def _spaced(values: Sequence[float], scale: Callable[[float], float]) -> tuple[Tick, ...]:
    kept: list[Tick] = []
    for value in values:
        if not kept or scale(value) - kept[-1].at >= ROOM:
            kept.append(Tick(scale(value), value))
    return tuple(kept) if len(kept) > 1 else ()


def interval_bar(low: float, high: float, estimate: float, bound: float, *, zero: bool) -> Bar:
    marks = [low, high, bound, *([0.0] if zero else [])]
    least, most = min(marks), max(marks)
    room = (most - least) * PAD or 1.0
    scale = _scale(least - room, most + room, use_log=False)
    return Bar(scale(low), scale(high) - scale(low), scale(estimate), scale(bound), scale(0.0) if zero else None)


def scatter(groups: Sequence[tuple[str, float, float, float, float]]) -> tuple[Dot, ...]:
    """Groups as name, cost and quality before, cost and quality after."""
    across = _room([value for _, cost, _, after, _ in groups for value in (cost, after)])
    up = _room([value for _, _, quality, _, after in groups for value in (quality, after)])
    return tuple(
        Dot(name, across(cost), up(quality), across(cost_after), up(quality_after))
        for name, cost, quality, cost_after, quality_after in groups
    )


def _room(values: Sequence[float]) -> Callable[[float], float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    room = (high - low) * PAD or max(abs(high) * PAD, 1e-9)
    return _scale(low - room, high + room, use_log=False)
