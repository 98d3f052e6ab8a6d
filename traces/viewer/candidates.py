"""The table of a plan's candidates: what became of each and, where the plan scored them, its points by factor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from traces.models import Trace
from traces.viewer.lenient import mapping, mappings, number, text

FACTORS = {
    "cost": "Cost",
    "quota": "Quota",
    "health": "Health",
    "latency": "Latency",
    "task": "Task",
    "environment": "Environment",
}
NOT_NEEDED, PASSED_OVER = "not needed", "passed over"


@dataclass(frozen=True, slots=True)
class Cell:
    """``filled`` is percent of the most that the factor gives; points may be below 0."""

    name: str
    points: float | None
    filled: float


@dataclass(frozen=True, slots=True)
class Table:
    """``columns``: each factor's name and the most that it gives; empty for a plan that did not score."""

    rows: list[dict[str, Any]]
    columns: list[tuple[str, float]]

    @property
    def most(self) -> float:
        return sum(weight for _, weight in self.columns)


def candidate_table(trace: Trace) -> Table:
    plan = mapping(trace.plan_json)
    weights = {name: number(mapping(plan.get("weights")).get(name)) or 0.0 for name in FACTORS}
    scored = bool(mapping(plan.get("weights")))
    attempts = {text(attempt.get("deployment")): attempt for attempt in mappings(trace.attempts_json)}
    passed_over = {
        text(step.get("subject")): text(step.get("why"))
        for step in mappings(trace.decision_trace_json)
        if step.get("outcome") == PASSED_OVER
    }
    rows = []
    for candidate in mappings(plan.get("candidates")):
        name = text(candidate.get("deployment"))
        row = _row(candidate, attempts.get(name, {}), weights if scored else {})
        if row["outcome"] == NOT_NEEDED and name in passed_over:
            row |= {"outcome": PASSED_OVER, "passed_over": passed_over[name]}
        rows.append(row)
    return Table(
        rows=rows,
        columns=[(FACTORS[name], weight) for name, weight in weights.items()] if scored else [],
    )


def _row(candidate: Mapping[str, Any], attempt: Mapping[str, Any], weights: Mapping[str, float]) -> dict[str, Any]:
    unasked = "ruled out" if candidate.get("verdict") == "ruled out" else NOT_NEEDED
    factors = mapping(candidate.get("factors"))
    return {
        **candidate,
        "outcome": text(attempt.get("outcome")) or unasked,
        "attempt": attempt,
        "cost": number(candidate.get("est_cost_microusd")),
        "total": number(factors.get("total")),
        "rests": candidate.get("within_limits") is False,
        "cells": [_cell(name, number(factors.get(name)), most) for name, most in weights.items()],
    }


def _cell(name: str, points: float | None, most: float) -> Cell:
    return Cell(FACTORS[name], points, min(abs(points or 0.0) / most, 1.0) * 100 if most else 0.0)
