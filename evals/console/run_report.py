"""What the page of one run shows, in the schema that is set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, F, IntegerField, QuerySet, Value, When

from evals import runs
from evals.core.metrics import SCORE, Answered, figure, metric_names, metric_of, metric_values
from evals.core.scorers import names_in
from evals.core.shown import Category, Line, by_category, lines, shown
from evals.core.spread import Spread, spread
from evals.models import Result, Run
from evals.runs import Progress
from routing.core.request import prompt_line
from traces.core.formats import duration, money

ORDERS = {"worst": "Worst first", "slow": "Slowest first", "dear": "Dearest first", "row": "In their order"}
MOST_ROWS = 50
DRAWN = ("p95_latency", "ttft_p95", "cost")
BY_CATEGORY = ("error_rate", "p95_latency", "cost", "refusal_rate")


@dataclass(frozen=True, slots=True)
class Compared:
    """A metric beside the baseline's; empty without one."""

    line: Line
    before: str


@dataclass(frozen=True, slots=True)
class Drawing:
    label: str
    spread: Spread
    top: str
    middle: str


@dataclass(frozen=True, slots=True)
class ReportRow:
    """``prompt``: empty for those who may not read it, as is ``result.answer`` on the page."""

    result: Result
    prompt: str
    scores: Sequence[tuple[str, float | None, str]]  # name, score, remark


@dataclass(frozen=True, slots=True)
class Report:
    progress: Progress
    metrics: Sequence[Compared]
    drawings: Sequence[Drawing]
    categories: Sequence[Category]
    columns: Sequence[tuple[str, str]]  # metric, label
    rows: Sequence[ReportRow]
    order: str


def report_of(run: Run, *, order: str, prompts: bool) -> Report:
    results = runs.answered(run)
    before = runs.answered(run.baseline) if run.baseline else []
    columns = [*BY_CATEGORY, *(name for name in metric_names(results) if name.startswith(SCORE))]
    return Report(
        progress=runs.progress_of([run])[run.pk],
        metrics=[_compared(line, before) for line in lines(results, names_in(run.scorers))] if results else [],
        drawings=_drawings(results),
        categories=by_category(results, columns),
        columns=[(name, metric_of(name).label) for name in columns],
        rows=[_row(result, prompts) for result in _ordered(run, order)[:MOST_ROWS]],
        order=order,
    )


def _compared(line: Line, before: Sequence[Answered]) -> Compared:
    return Compared(line, shown(metric_of(line.name).unit, figure(line.name, before)) if before else "")


def _drawings(results: Sequence[Answered]) -> list[Drawing]:
    found = []
    for name in DRAWN:
        metric, drawn = metric_of(name), spread(metric_values(name, results))
        if drawn is not None and drawn.of > 1:
            label = metric.label.removesuffix(" p95")
            found.append(Drawing(label, drawn, shown(metric.unit, drawn.top), shown(metric.unit, drawn.top / 2)))
    return found


def _ordered(run: Run, order: str) -> "QuerySet[Result]":
    found = run.results.select_related("item")
    if order == "slow":
        return found.order_by(F("latency_ms").desc(nulls_last=True))
    if order == "dear":
        return found.order_by("-cost_microusd", "item__row")
    if order == "row":
        return found.order_by("repetition", "item__row")
    return found.annotate(badness=_badness(run)).order_by("badness", F("latency_ms").desc(nulls_last=True))


def _badness(run: Run) -> Any:
    """Failures, then refusals, then the lowest score of the first scorer."""
    ranks = [When(outcome__in=[Result.Outcome.FAILED, Result.Outcome.LIMITED], then=Value(-2))]
    ranks.append(When(outcome=Result.Outcome.REFUSED, then=Value(-1)))
    if run.scorers:
        name = names_in(run.scorers)[0]
        for tenths in range(10):
            ranks.append(When(**{f"scores__{name}__lt": (tenths + 1) / 10}, then=Value(tenths)))
    return Case(*ranks, default=Value(10), output_field=IntegerField())


def _row(result: Result, prompts: bool) -> ReportRow:
    names = sorted({*result.scores, *result.remarks})
    scores = [(name, result.scores.get(name), result.remarks.get(name, "") if prompts else "") for name in names]
    return ReportRow(result, prompt_line(result.item.body) if prompts else "", scores)


def progress_json(progress: Progress) -> dict[str, Any]:
    return {
        "open": progress.open,
        "state": progress.state,
        "percent": round(progress.percent, 1),
        "done": f"{progress.done:,} of {progress.expected:,}",
        "failed": progress.failed,
        "left": left_of(progress),
        "cost": money(progress.cost_microusd),
    }


def left_of(progress: Progress) -> str:
    if progress.state == Run.State.QUEUED:
        return "waits for a worker"
    return "" if progress.left_s is None else f"about {duration(progress.left_s * 1000)} left"
