"""What a run's judges were worth and what they cost. In the tenant's schema: call it within its ``tenant_context``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Sum

from evals.core.agreement import Agreement, kappa, known_verdict, swap_agreement
from evals.core.judging import AWAY, Verdict
from evals.core.scorers import Scorer
from evals.models import Result, Run
from traces.models import Trace

KNOWING = ("exact", "numeric")  # kinds whose score says whether an answer is right


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """``judged`` results have a score; of ``unread`` the reply could not be read, ``away`` could not be asked.
    ``kappa``: its verdicts beside those that exact scores give for ``known`` results. ``cost_microusd``: of those of
    its calls of which the traces are still kept."""

    name: str
    judged: int
    unread: int
    away: int
    swaps: Agreement | None
    kappa: float | None
    known: int
    calls: int
    tokens_in: int
    tokens_out: int
    cost_microusd: int


class _Row(NamedTuple):
    item: int
    repetition: int
    scores: Mapping[str, float]
    remarks: Mapping[str, str]
    judging: Mapping[str, Mapping[str, Any]]


def judge_reports(run: Run, scorers: Sequence[Scorer]) -> list[JudgeReport]:
    """One for each judge among the run's scorers. For a run of several thousand results, some 0.1 s."""
    judges = [scorer for scorer in scorers if scorer.kind == "judge"]
    if not judges:
        return []
    knowing = next((scorer.name for scorer in scorers if scorer.kind in KNOWING), "")
    rows = [_Row(*values) for values in Result.objects.filter(run=run).values_list(*_COLUMNS)]
    others = Result.objects.filter(run=run.baseline_id).values_list("item_id", "repetition", "scores")
    baseline = {(item, repetition): scores.get(knowing) for item, repetition, scores in others}
    return [_report(judge.name, rows, knowing, baseline) for judge in judges]


_COLUMNS = ("item_id", "repetition", "scores", "remarks", "judging")


def _report(
    name: str, rows: Sequence[_Row], knowing: str, baseline: Mapping[tuple[int, int], float | None]
) -> JudgeReport:
    asked = [row for row in rows if name in row.judging]
    judged = [row for row in asked if name in row.scores]
    silent = [row for row in asked if name not in row.scores]
    away = [row for row in silent if row.remarks.get(name, "").startswith(AWAY)]
    used = [row.judging[name] for row in asked]
    both = [one["verdicts"] for one in used if one["verdicts"]]
    pairs = [(Verdict(first), Verdict(swapped)) for first, swapped in both]
    known = [pair for row in judged if (pair := _known(row, name, knowing, baseline)) is not None]
    traces = [trace for one in used for trace in one["traces"]]
    return JudgeReport(
        name=name,
        judged=len(judged),
        unread=sum(row.judging[name]["calls"] > 0 for row in silent if row not in away),
        away=len(away),
        swaps=swap_agreement(pairs),
        kappa=kappa(known),
        known=len(known),
        calls=sum(one["calls"] for one in used),
        tokens_in=sum(one["tokens_in"] for one in used),
        tokens_out=sum(one["tokens_out"] for one in used),
        cost_microusd=Trace.objects.filter(pk__in=traces).aggregate(cost=Sum("cost_microusd"))["cost"] or 0,
    )


def _known(
    row: _Row, name: str, knowing: str, baseline: Mapping[tuple[int, int], float | None]
) -> tuple[Verdict, Verdict] | None:
    """Its verdict and the right one. A reference is right by itself; a grade is no verdict."""
    mine, against = row.scores.get(knowing), row.judging[name]["against"]
    others = {"baseline": baseline.get((row.item, row.repetition)), "reference": 1.0}
    other = others.get(against)
    if mine is None or other is None:
        return None
    return known_verdict(row.scores[name], 0.5), known_verdict(mine, other)
