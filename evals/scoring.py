"""Scores of a run's answers: what costs nothing at once, then the judges, each result kept as soon as it is known.

What has a score or a remark is not scored again, so a worker may stop at any moment and another go on; only questions
that a judge could not be asked are asked again by the next pass.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db.models import F, Func, JSONField, Value
from django_tenants.utils import tenant_context

from evals.core.case import Case, Score
from evals.core.judging import AWAY
from evals.core.refusal import refuses
from evals.core.scorers import PURE, Scorer, read_scorers, score_purely
from evals.judge import Judge
from evals.models import Item, Result, Run
from evals.own_scorers import score_by
from evals.similarity import similarity
from tenants.models import Tenant

T = TypeVar("T")
AT_ONCE = 50  # results read together
ANSWERED = (Result.Outcome.OK, Result.Outcome.REFUSED)


class Scored(NamedTuple):
    """``results``: answers that were looked at. ``silent``: scores for which there was nothing to go by."""

    results: int = 0
    scores: int = 0
    silent: int = 0

    def plus(self, other: "Scored") -> "Scored":
        return Scored(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Open:
    """An answer and the scorers that have not spoken of it."""

    result: int
    outcome: str
    case: Case
    scorers: Sequence[Scorer]


async def score_run(tenant: Tenant, run: Run, *, key: str, url: str = "") -> Scored:
    """All answers of the run. ``key``: the API key with which judges are asked at ``url`` (default: RELAY_EVAL_URL).
    Cancel the task to stop it; what is known by then is kept. Raises BadScorers."""
    scorers = read_scorers(run.scorers, settings.RELAY_EVAL_SCORERS)
    about, total, last = f"judge/{run.pk}/{int(run.created_at.timestamp())}", Scored(), 0
    async with AsyncExitStack() as stack:
        judges = {}
        for scorer in scorers:
            if scorer.kind == "judge":
                judge = Judge(scorer, url=url or settings.RELAY_EVAL_URL, key=key, about=about)
                stack.push_async_callback(judge.close)
                judges[scorer.name] = judge
        scoring = _Scoring(tenant, run, scorers, judges)
        while batch := await _within(tenant, _batch, run.pk, last):
            total, last = total.plus(await scoring.score(batch)), batch[-1].pk
    return total


@dataclass(frozen=True, slots=True)
class _Scoring:
    tenant: Tenant
    run: Run
    scorers: Sequence[Scorer]
    judges: Mapping[str, Judge]

    async def score(self, results: Sequence[Result]) -> Scored:
        opened = await _within(self.tenant, _opened, self.run, results, self.scorers)
        said = await asyncio.to_thread(_score_all, opened)
        await _within(self.tenant, _keep_all, said)
        values = [score.value for scores, _ in said.values() for score in scores.values()]
        values += await self._ask_judges(opened)
        return Scored(len(opened), len(values) - values.count(None), values.count(None))

    async def _ask_judges(self, opened: Sequence[Open]) -> list[float | None]:
        room = asyncio.Semaphore(self.run.concurrency)

        async def ask(one: Open, name: str) -> float | None:
            async with room:
                score, judged = await self.judges[name].judge(one.result, one.case)
            await _within(self.tenant, _keep, one.result, {name: score}, {name: judged.as_json()})
            return score.value

        pairs = [(one, scorer.name) for one in opened for scorer in one.scorers if scorer.kind == "judge"]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(one, name)) for one, name in pairs]
        return [task.result() for task in tasks]


async def _within(tenant: Tenant, act: Callable[..., T], *arguments: Any) -> T:
    def there() -> T:
        with tenant_context(tenant):
            return act(*arguments)

    return await sync_to_async(there)()


def _batch(run: int, after: int) -> list[Result]:
    return list(Result.objects.filter(run=run, pk__gt=after, outcome__in=ANSWERED).order_by("pk")[:AT_ONCE])


def _opened(run: Run, results: Sequence[Result], scorers: Sequence[Scorer]) -> list[Open]:
    """The baseline's answer is the one to the same row in the same repetition."""
    items = Item.objects.in_bulk({result.item_id for result in results})
    others = Result.objects.filter(run=run.baseline_id, item__in=items, outcome__in=ANSWERED)
    baseline = {(item, repetition): answer for item, repetition, answer in others.values_list(*_PAIR)}
    return [
        Open(
            result.pk,
            result.outcome,
            _case(result, items[result.item_id], baseline.get((result.item_id, result.repetition))),
            [scorer for scorer in scorers if _silent(result, scorer.name)],
        )
        for result in results
    ]


_PAIR = ("item_id", "repetition", "answer")


def _case(result: Result, item: Item, baseline: str | None) -> Case:
    return Case(
        messages=item.body.get("messages", []),
        answer=result.answer,
        reference=item.reference or None,
        baseline=baseline,
        answer_schema=item.answer_schema,
        category=item.category,
    )


def _silent(result: Result, scorer: str) -> bool:
    said = scorer in result.scores or scorer in result.remarks
    return not said or result.remarks.get(scorer, "").startswith(AWAY)


Said = tuple[Mapping[str, Score], bool]  # and whether it is a refusal


def _score_all(opened: Sequence[Open]) -> dict[int, Said]:
    """All but the judges, by result."""
    return {
        one.result: (
            {scorer.name: score_here(scorer, one.case) for scorer in one.scorers if scorer.kind != "judge"},
            one.outcome == Result.Outcome.OK and refuses(one.case.answer),
        )
        for one in opened
    }


def score_here(scorer: Scorer, case: Case) -> Score:
    """By any but a judge."""
    if scorer.kind in PURE:
        return score_purely(scorer, case)
    if scorer.kind == "similarity":
        return similarity(case, **scorer.options)
    return score_by(scorer.options["path"], case, settings.RELAY_EVAL_SCORERS)


def _keep_all(said: Mapping[int, Said]) -> None:
    for result, (scores, refused) in said.items():
        if refused:
            Result.objects.filter(pk=result, outcome=Result.Outcome.OK).update(outcome=Result.Outcome.REFUSED)
        if scores:
            _keep(result, scores)


def _keep(result: int, scores: Mapping[str, Score], judging: Mapping[str, Any] | None = None) -> None:
    """Merged by the database, so that nobody takes away what another has written meanwhile."""
    values = {name: score.value for name, score in scores.items() if score.value is not None}
    Result.objects.filter(pk=result).update(
        scores=_merged("scores", values),
        remarks=_merged("remarks", {name: score.why.replace("\x00", "") for name, score in scores.items()}),
        judging=_merged("judging", judging or {}),
    )


def _merged(column: str, more: Mapping[str, Any]) -> Func:
    return Func(
        F(column),
        Value(dict(more), JSONField()),
        arg_joiner=" || ",
        template="%(expressions)s",
        output_field=JSONField(),
    )
