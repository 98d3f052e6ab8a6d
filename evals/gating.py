"""Gates as rows: the default one, and what a gate says of two runs."""

from collections.abc import Iterable, Sequence

from evals.core import gate as core
from evals.core.gate import Decision, Rule
from evals.core.metrics import Answered
from evals.models import GateRule


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
