"""Writes and questions about runs. All of it happens in the schema that is set; times are PostgreSQL's, because workers
may be on several machines.

A run is a lease: who works on it says so (``beat``) under a name of its own, and only that worker's writes count. Who
has been silent for SILENCE has lost it to the next one that claims it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce, Now

from evals.core.metrics import SCORE, Answered
from evals.core.scorers import BadScorers, read_scorers
from evals.core.shown import Line
from evals.keys import version_of
from evals.models import Dataset, DatasetVersion, Item, Result, Run
from evals.questions import Answer, Question
from routing.models import Route
from tenants.models import Tenant

SILENCE = timedelta(seconds=30)
MOST_RESULTS = 100_000
FIGURES = (
    *("item_id", "repetition", "outcome", "latency_ms", "ttft_ms", "tokens_in", "tokens_out", "cost_microusd"),
    *("cache", "scores", "item__category"),
)
OPEN = (Run.State.QUEUED, Run.State.RUNNING)

# Traces are written a moment after the answer. One that was given again for its Idempotency-Key (``replay``) counts as
# what it was the first time.
TAKE_FROM_TRACES = """
UPDATE evals_result AS result SET traced = true, trace_id = first.id, deployment = first.deployment,
    cache = first.cache, latency_ms = first.latency_ms, ttft_ms = COALESCE(first.ttft_ms, result.ttft_ms),
    tokens_in = first.tokens_in, tokens_out = first.tokens_out, cost_microusd = first.cost_microusd
FROM traces_trace AS last JOIN traces_trace AS first ON first.id = CASE last.cache
    WHEN 'replay' THEN (last.cache_json ->> 'source_trace')::uuid ELSE last.id END
WHERE result.run_id = %s AND NOT result.traced AND result.trace_id = last.id
    AND last.started_at >= %s AND first.started_at >= %s
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run to be made. ``scorers`` as ``Run.scorers``."""

    version: DatasetVersion
    route: str
    policy: str
    policy_version: int
    name: str = ""
    repetitions: int = 1
    concurrency: int = 4
    cache: str = Run.Cache.OFF
    scorers: Sequence[Mapping[str, Any]] = field(default_factory=list)
    baseline: Run | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Of a run: how far it is, what it has cost, and how long it will take (None: not known)."""

    state: str
    done: int
    expected: int
    failed: int
    cost_microusd: int
    seconds: float | None  # since it began, until it ended
    left_s: float | None

    @property
    def percent(self) -> float:
        return 100 * self.done / self.expected if self.expected else 0.0

    @property
    def open(self) -> bool:
        return self.state in OPEN


def create_run(*, tenant: Tenant, wanted: Wanted, created_by: str = "", staff: bool = False) -> Run:
    """Queued; ``tasks.send`` gives it to a worker. ``staff`` may try drafts of the platform, too.

    Raises ValidationError that names the field.
    """
    made = wanted.name or f"{wanted.version} with {wanted.policy}@{wanted.policy_version}"
    run = Run(
        name=made[:120],
        version=wanted.version,
        route=wanted.route,
        policy=wanted.policy,
        policy_version=wanted.policy_version,
        repetitions=wanted.repetitions,
        concurrency=wanted.concurrency,
        cache=wanted.cache,
        scorers=list(wanted.scorers),
        baseline=wanted.baseline,
        expected=wanted.version.size * wanted.repetitions,
        created_by=created_by[:150],
    )
    _check(tenant, run, staff=staff)
    run.full_clean(exclude=["scorers", "started_at", "beat_at", "finished_at"])
    run.save()
    return run


def _check(tenant: Tenant, run: Run, *, staff: bool) -> None:
    usable = Route.objects.filter(Q(tenant=tenant) | Q(tenant=None), enabled=True)
    if not usable.filter(name=run.route).exists():
        raise ValidationError({"route": f"There is no enabled route “{run.route}” that {tenant.name} may ask."})
    if version_of(tenant, run.policy, run.policy_version, staff=staff) is None:
        raise ValidationError({"policy": f"There is no version {run.policy_version} of a policy “{run.policy}”."})
    try:
        scorers = read_scorers(run.scorers, settings.RELAY_EVAL_SCORERS)
    except BadScorers as problem:
        raise ValidationError({"scorers": str(problem)}) from None
    for judge in (str(scorer.options["route"]) for scorer in scorers if scorer.kind == "judge"):
        if not usable.filter(name=judge).exists():
            raise ValidationError({"scorers": f"There is no enabled route “{judge}” that could judge."})
    if run.expected > MOST_RESULTS:
        raise ValidationError({"repetitions": f"{run.expected:,} requests are too many: at most {MOST_RESULTS:,}."})
    if run.baseline is not None and run.baseline.version_id != run.version_id:
        theirs = run.baseline.version
        raise ValidationError(
            {"baseline": f"“{run.baseline}” ran on {theirs}, not on {run.version}: their answers cannot be compared."}
        )


def cancel_run(run: Run) -> bool:
    """Its worker notices within about a second. False: it was over already."""
    return bool(Run.objects.filter(pk=run.pk, state__in=OPEN).update(state=Run.State.CANCELLED, finished_at=Now()))


def claim(run_id: int, worker: str) -> Run | None:
    """None: another worker has it, or it is over."""
    silent = Q(state=Run.State.RUNNING, beat_at__lt=Now() - SILENCE)
    claimed = Run.objects.filter(silent | Q(state=Run.State.QUEUED), pk=run_id).update(
        state=Run.State.RUNNING, worker=worker, beat_at=Now(), started_at=Coalesce("started_at", Now())
    )
    return Run.objects.select_related("version__dataset").get(pk=run_id) if claimed else None


def is_open(run_id: int) -> bool:
    """Whether it may get more results."""
    return Run.objects.filter(pk=run_id, state__in=OPEN).exists()


def beat(run_id: int, worker: str) -> bool:
    """False: it was cancelled, or another worker has it."""
    return bool(Run.objects.filter(pk=run_id, worker=worker, state=Run.State.RUNNING).update(beat_at=Now()))


def finish(run_id: int, worker: str, error: str = "") -> bool:
    state = Run.State.FAILED if error else Run.State.DONE
    mine = Run.objects.filter(pk=run_id, worker=worker, state=Run.State.RUNNING)
    return bool(mine.update(state=state, error=error[:500], finished_at=Now()))


def abandoned() -> list[int]:
    """Runs that nobody works on: their worker died, or the message to one was lost."""
    unheard = Q(state=Run.State.QUEUED, created_at__lt=Now() - SILENCE / 3)
    return list(
        Run.objects.filter(unheard | Q(state=Run.State.RUNNING, beat_at__lt=Now() - SILENCE)).values_list(
            "pk", flat=True
        )
    )


def pending(run: Run) -> list[tuple[int, int]]:
    """(item, repetition) without a result, one repetition after the other, each in the order of the rows."""
    done = set(run.results.order_by().values_list("item_id", "repetition"))
    items = list(run.version.items.values_list("pk", flat=True))
    wanted = ((item, repetition) for repetition in range(1, run.repetitions + 1) for item in items)
    return [pair for pair in wanted if pair not in done]


def bodies(items: Sequence[int]) -> dict[int, Any]:
    return dict(Item.objects.filter(pk__in=items).values_list("pk", "body"))


def keep(run: Run, answers: Sequence[tuple[Question, Answer]]) -> None:
    """A result that is there already stays: a worker that was only slow tells the same again."""
    rows = [
        Result(
            run=run,
            item_id=question.item,
            repetition=question.repetition,
            outcome=answer.outcome,
            error=answer.error,
            trace_id=answer.trace_id,
            answer=answer.text,
            cache=answer.cache,
            latency_ms=answer.latency_ms,
            ttft_ms=answer.ttft_ms,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
        )
        for question, answer in answers
    ]
    Result.objects.bulk_create(rows, ignore_conflicts=True)


def take_from_traces(run: Run) -> int:
    """What Relay itself measured and charged takes the place of what the client saw, so that a result agrees with the
    trace that it links to. How many results still wait for their trace."""
    assert run.started_at is not None
    since = run.started_at - timedelta(minutes=1)
    with connection.cursor() as cursor:
        cursor.execute(TAKE_FROM_TRACES, [run.pk, since, since])
    return run.results.filter(traced=False).exclude(trace_id=None).count()


def answered(run: Run) -> list[Answered]:
    """The results as the metrics read them."""
    return [Answered(*values) for values in run.results.values_list(*FIGURES)]


def why_silent(run: Run, line: Line) -> str:
    """Why a scorer gave no score, as it remarked of the first answer; empty for any other figure."""
    if line.of or not line.name.startswith(SCORE):
        return ""
    name = line.name.removeprefix(SCORE)
    remark = run.results.order_by("pk").filter(remarks__has_key=name).values_list(f"remarks__{name}", flat=True).first()
    return f": {remark}" if remark else ""


def progress_of(runs: Sequence[Run]) -> dict[int, Progress]:
    """By primary key, in one query."""
    lost = Q(outcome__in=[Result.Outcome.FAILED, Result.Outcome.LIMITED])
    counts = (
        Result.objects.filter(run__in=[run.pk for run in runs])
        .order_by()
        .values("run")
        .annotate(done=Count("pk"), failed=Count("pk", filter=lost), cost=Sum(F("cost_microusd")))
    )
    by_run = {row["run"]: row for row in counts}
    return {run.pk: _progress(run, by_run.get(run.pk, {"done": 0, "failed": 0, "cost": 0})) for run in runs}


def _progress(run: Run, counted: Mapping[str, Any]) -> Progress:
    done, until = counted["done"], run.finished_at or run.beat_at
    seconds = (until - run.started_at).total_seconds() if run.started_at and until else None
    left_s = seconds / done * (run.expected - done) if seconds and done and run.state == Run.State.RUNNING else None
    return Progress(run.state, done, run.expected, counted["failed"], int(counted["cost"] or 0), seconds, left_s)


def newest_baseline(dataset: Dataset, route: str, policy: str) -> Run | None:
    """The newest finished run of that policy that is no candidate itself; maybe of another version of the data set."""
    found = Run.objects.filter(
        version__dataset=dataset, route=route, policy=policy, state=Run.State.DONE, baseline=None
    )
    return found.select_related("version__dataset").first()
