"""What would have chosen another, in sentences, from the plan_json of a trace. Names stand between backticks."""

from collections.abc import Mapping
from dataclasses import fields
from math import ceil, floor, isfinite, log10
from typing import Any

from routing.core.policy import Weights
from routing.core.scoring import Facts, points_of
from routing.core.what_if import WEIGHTS, Change, Entry, changes

DIGITS = 3
AS_RECORDED = 0.02  # points are stored to a hundredth


def sentences(plan: Mapping[str, Any]) -> list[str]:
    """One for each candidate that a single change would have put first, the smallest change first.

    Empty where nothing was scored, where the record is damaged, and where today's formulas do not give the points
    that it holds: they must not explain a decision of others.
    """
    try:
        return _sentences(plan)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        return []


def _sentences(plan: Mapping[str, Any]) -> list[str]:
    weights = Weights(**{item.name: _number(plan["weights"][item.name]) for item in fields(Weights)})
    rows = sorted((row for row in plan["candidates"] if row["position"]), key=lambda row: row["position"])
    entries = [Entry(row["deployment"], _facts(row["facts"]), row["within_limits"]) for row in rows]
    for row, entry in zip(rows, entries, strict=True):
        if abs(points_of(entry.facts, weights).total - row["factors"]["total"]) > AS_RECORDED:
            return []
    measured = {entry.deployment: entry.facts.measured for entry in entries}
    return [in_words(change, plan["task"], measured[change.deployment]) for change in changes(entries, weights)]


def _facts(told: Mapping[str, Any]) -> Facts:
    numbers = {name: _number(told[name]) for name in Facts._fields[:-1]}
    return Facts(**numbers, measured=bool(told["measured"]))  # type: ignore[arg-type]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isfinite(value) or value < 0:
        raise ValueError("not a number that a plan holds")
    return float(value)


def in_words(change: Change, task: str, measured: bool) -> str:
    deployment = change.deployment.replace("`", "'")
    return f"`{deployment}` would have been first {_condition(change, task, measured)}."


def _condition(change: Change, task: str, measured: bool) -> str:
    bound = _up(change.bound) if change.above else _down(change.bound)
    than, was = "above" if change.above else "below", change.was
    if change.what in WEIGHTS:
        return f"with a weight of {change.what} {than} {_plain(bound)} (was {_plain(was)})"
    match change.what:
        case "price":
            return f"at a price below {_dollars(bound)} per million tokens (was {_dollars(was)})"
        case "latency_ms":
            what = "a p95" if measured else "a typical latency"
            return f"with {what} below {_time(bound)} (was {_time(was)})"
        case "quota_left":
            return f"with more than {_percent(bound)} of its quota left (was {_percent(was)})"
        case "errors":
            return f"with an error rate below {_percent(bound)} (counted as {_percent(was)})"
        case "strength":
            return f"with a strength in {task} above {_plain(bound)} (was {_plain(was)})"
        case _:
            return "had it not been tried last for now"


def _down(value: float) -> float:
    return _cut(value, floor)


def _up(value: float) -> float:
    return _cut(value, ceil)


def _cut(value: float, to_whole: Any) -> float:
    """To a few digits, on the side on which the sentence stays true."""
    if value <= 0:
        return 0.0
    places = DIGITS - 1 - floor(log10(value))
    digits = round(value * 10.0**places, 6)  # what binary fractions lack or have too much is no reason to go further
    return float(round(to_whole(digits) / 10.0**places, max(places, 0)))


def _dollars(microusd: float) -> str:
    return f"${_plain(microusd / 1_000_000)}"


def _time(ms: float) -> str:
    return f"{_plain(ms)} ms" if ms < 1_000 else f"{_plain(ms / 1_000)} s"


def _percent(share: float) -> str:
    return f"{_plain(share * 100)}%"


def _plain(value: float) -> str:
    return f"{float(f'{value:.{DIGITS}g}'):,g}"
