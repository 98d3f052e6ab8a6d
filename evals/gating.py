"""Gates as rows, and what a gate says of two runs. All of it in the tenant's schema that is set."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from django.db.models import F

from evals.core import gate as core
from evals.core.gate import Decision, Rule
from evals.core.gate_words import Row, rows_of, verdict_sentence
from evals.core.metrics import SIMILARITY, Answered
from evals.models import Comparison, Gate, GateRule, Item, Run
from evals.runs import answered

DEFAULT = "default"


class NotComparable(Exception):
    """Says why, in a sentence for whoever asked."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate said, now or when it was kept."""

    gate: str
    verdict: core.Verdict
    rows: tuple[Row, ...]

    @property
    def sentence(self) -> str:
        return verdict_sentence(self.verdict, self.rows)


def decide(
    rules: Iterable[GateRule],
    baseline: Sequence[Answered],
    candidate: Sequence[Answered],
    *,
    confidence: float = 0.95,
) -> Decision:
    """Pure, for rows that are stored and those that are not; see ``core.gate.decide``."""
    return core.decide([rule_of(row) for row in rules], baseline, candidate, confidence=confidence)


def rule_of(row: GateRule) -> Rule:
    return Rule(row.metric, row.direction, row.measure, row.bound, row.min_pairs)  # type: ignore[arg-type]


def check_comparable(baseline: Run, candidate: Run) -> None:
    """Raises NotComparable: a verdict on different prompts, or on half a run, would be about something else."""
    if baseline.pk == candidate.pk:
        raise NotComparable("A run cannot be compared with itself: choose two.")
    if baseline.version_id != candidate.version_id:
        raise NotComparable(
            f"Run {baseline.pk} is of {baseline.version}, run {candidate.pk} of {candidate.version}: both must be of"
            " the same dataset version. Run the baseline again on the candidate’s."
        )
    for run in (baseline, candidate):
        if run.state != Run.State.DONE:
            raise NotComparable(f"Run {run.pk} ({run.name}) is not finished: {run.get_state_display().lower()}.")
        if (there := run.results.count()) < run.expected:
            raise NotComparable(f"Run {run.pk} ({run.name}) has only {there:,} of {run.expected:,} results.")


def ask(gate: Gate, baseline: Run, candidate: Run) -> Verdict:
    """What the gate says now. Raises NotComparable."""
    check_comparable(baseline, candidate)
    before, after = as_yardstick(baseline, candidate), answered(candidate)
    decision = decide(gate.rules.all(), before, after, confidence=gate.confidence)
    return Verdict(gate.slug, decision.verdict, rows_of(decision))


def keep(verdict: Verdict, baseline: Run, candidate: Run, *, by: str) -> Comparison:
    return Comparison.objects.create(
        gate=verdict.gate,
        baseline=baseline,
        candidate=candidate,
        verdict=verdict.verdict,
        table=[asdict(row) for row in verdict.rows],
        created_by=by[:150],
    )


def kept(comparison: Comparison) -> Verdict:
    rows = tuple(Row(**row) for row in comparison.table)
    return Verdict(comparison.gate, comparison.verdict, rows)  # type: ignore[arg-type]


def as_yardstick(baseline: Run, candidate: Run) -> list[Answered]:
    """The baseline's results. Where the candidate's answers were compared with them, as there is no reference, they
    count as wholly alike; else "97 % of the baseline's similarity" would be 97 % of nothing."""
    items = Item.objects.filter(version=baseline.version_id)
    if not any(one.get("name") == SIMILARITY and one.get("against") == "baseline" for one in candidate.scorers):
        items = items.filter(reference="")
    compared = set(items.values_list("pk", flat=True))
    return [
        one._replace(scores={SIMILARITY: 1.0, **one.scores}) if one.answered and one.item in compared else one
        for one in answered(baseline)
    ]


def newest_pair(policy: str) -> tuple[Run, Run]:
    """The newest finished candidate of a policy, and the baseline that it was run against. Raises NotComparable."""
    done = Run.objects.filter(policy=policy, state=Run.State.DONE, baseline__isnull=False)
    candidate = done.select_related("baseline__version__dataset", "version__dataset").order_by(
        F("finished_at").desc(nulls_last=True), "-pk"
    )
    found = candidate.first()
    if found is None or found.baseline is None:
        raise NotComparable(
            f"The policy {policy} has no finished candidate with a baseline: manage.py eval_baseline, then"
            " eval_candidate."
        )
    return found.baseline, found
