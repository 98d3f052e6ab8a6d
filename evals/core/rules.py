"""Which rules of a gate make sense: a typing error must not make a gate that nothing can pass, or that all can."""

from math import isfinite
from typing import NamedTuple

from evals.core.metrics import METRICS, metric_of

MOST_CHANGE = 1_000.0  # percent
MOST_VALUE = 1e9


class Problem(NamedTuple):
    field: str
    text: str


def problem_with(metric: str, direction: str, measure: str, bound: float | None) -> Problem | None:
    """The first, with the field at which it stands. What is missing is the form's to complain of."""
    try:
        known = metric_of(metric)
    except KeyError:
        return Problem("metric", f"There is no metric “{metric}”. Use {', '.join(METRICS)} or score:SCORER.")
    if measure == "change" and known.unit == "share":
        return Problem("measure", "A rate may be 0, of which there is no percentage: use the difference or the value.")
    good = "at_most" if known.better == "lower" else "at_least"
    if direction != good:
        return Problem("direction", f"{known.label} is better when {known.better}: use “{good.replace('_', ' ')}”.")
    return None if bound is None else _problem_with_bound(known.unit, measure, bound)


def _problem_with_bound(unit: str, measure: str, bound: float) -> Problem | None:
    if not isfinite(bound):
        return Problem("bound", "Must be a number.")
    if measure == "change":
        low, high = -100.0, MOST_CHANGE
    else:
        high = 1.0 if unit in ("share", "score") else MOST_VALUE
        low = 0.0 if measure == "value" else -high
    if not low <= bound <= high:
        percent = " percent" if measure == "change" else ""
        return Problem("bound", f"Must lie between {low:,.0f} and {high:,.0f}{percent}.")
    return None
