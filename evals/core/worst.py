"""The answers of a candidate in the order in which they lost most beside the baseline's."""

from collections.abc import Sequence
from math import log
from typing import NamedTuple

from evals.core.metrics import Answered

LEAST_MS = 1.0


class Change(NamedTuple):
    """One prompt and repetition in both runs. ``score`` is the sum of what its scores lost (negative: gained),
    ``slower`` the factor of its latency (None: one of them has none)."""

    before: Answered
    after: Answered
    lost: int  # 2: there is no answer any more, 1: it refuses now, 0: as before, negative: the other way round
    score: float
    slower: float | None


def changes(baseline: Sequence[Answered], candidate: Sequence[Answered]) -> list[Change]:
    """The worst first: lost answers, then lost scores, then latency."""
    before = {(one.item, one.repetition): one for one in baseline}
    found = [_change(was, now) for now in candidate if (was := before.get((now.item, now.repetition))) is not None]
    return sorted(found, key=lambda one: (-one.lost, -round(one.score, 3), -log(one.slower or 1.0)))


def _change(before: Answered, after: Answered) -> Change:
    lost = _badness(after) - _badness(before)
    shared = before.scores.keys() & after.scores.keys()
    score = sum(before.scores[name] - after.scores[name] for name in shared)
    slower = None
    if before.latency_ms is not None and after.latency_ms is not None:
        slower = max(after.latency_ms, LEAST_MS) / max(before.latency_ms, LEAST_MS)
    return Change(before, after, lost, score, slower)


def _badness(one: Answered) -> int:
    return 1 if one.outcome == "refused" else 0 if one.answered else 2
