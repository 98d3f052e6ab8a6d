"""Figures of a run as a person reads them."""

from collections.abc import Sequence
from dataclasses import dataclass

from evals.core.metrics import SCORE, Answered, figure, metric_names, metric_of, metric_values
from traces.core.formats import duration, money, percent


@dataclass(frozen=True, slots=True)
class Line:
    """One metric: ``value`` None if no result says anything of it; ``of``: how many results do."""

    name: str
    label: str
    better: str
    value: float | None
    text: str
    of: int


def shown(unit: str, value: float | None) -> str:
    """ "1.84 s", "$0.0015", "12.5%"; "–" where it is not known."""
    if value is None:
        return "–"
    if unit == "tokens":
        return f"{value:,.1f}"
    if unit == "score":
        return f"{value:.3f}"
    return {"ms": duration, "microusd": money, "share": percent}[unit](value)


def lines(results: Sequence[Answered], asked: Sequence[str] = ()) -> list[Line]:
    """``asked``: scorers that have a line even if they gave no score."""
    found = metric_names(results)
    silent = (name for name in (f"{SCORE}{scorer}" for scorer in asked) if name not in found)
    return [_line(name, results) for name in (*found, *silent)]


def _line(name: str, results: Sequence[Answered]) -> Line:
    metric, value = metric_of(name), figure(name, results)
    of = len(metric_values(name, results))
    return Line(name, metric.label, metric.better, value, shown(metric.unit, value), of)


@dataclass(frozen=True, slots=True)
class Category:
    name: str  # empty: without one
    results: int
    lines: dict[str, Line]  # by metric


def by_category(results: Sequence[Answered], names: Sequence[str]) -> list[Category]:
    """The largest first; nothing if there is only one."""
    found: dict[str, list[Answered]] = {}
    for result in results:
        found.setdefault(result.category, []).append(result)
    if len(found) < 2:
        return []
    ordered = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return [Category(name, len(some), {metric: _line(metric, some) for metric in names}) for name, some in ordered]
