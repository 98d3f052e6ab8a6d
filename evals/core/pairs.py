"""Two runs' results side by side: what each says of a metric, paired by prompt and repetition."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evals.core.bootstrap import Counts, Floats
from evals.core.metrics import Answered, metric_of

WRONG_HITS = "wrong_hits"


@dataclass(frozen=True, slots=True)
class Paired:
    """``unit``: the number of each pair's prompt, from 0 and without gaps. ``alone`` and ``alone_unit`` are all values
    of the candidate, with a partner or without."""

    unit: Counts
    baseline: Floats
    candidate: Floats
    alone: Floats
    alone_unit: Counts

    @property
    def items(self) -> int:
        return int(self.unit.max()) + 1 if len(self.unit) else 0

    def candidate_alone(self) -> "Paired":
        """For rules about the candidate's own value, which need no baseline."""
        return replace(self, unit=self.alone_unit, baseline=np.zeros_like(self.alone), candidate=self.alone)

    def by_item(self) -> "Paired":
        """One pair a prompt: the means of its repetitions."""
        many = np.bincount(self.unit)
        baseline, candidate = (np.bincount(self.unit, values) / many for values in (self.baseline, self.candidate))
        return replace(self, unit=np.arange(len(many)), baseline=baseline, candidate=candidate)


def paired(metric: str, baseline: Sequence[Answered], candidate: Sequence[Answered]) -> Paired:
    """Where both runs have a value; the same prompt and repetition of both are one pair. Nothing at all for wrong cache
    hits if the candidate has a hit that nobody scored: the others alone would look as if there were none."""
    value = metric_of(metric).value
    if metric == WRONG_HITS and any(one.answered and value(one) is None for one in candidate):
        candidate = ()
    before = {(one.item, one.repetition): value(one) for one in baseline}
    known = [(one, said) for one in candidate if (said := value(one)) is not None]
    both = [(one.item, was, said) for one, said in known if (was := before.get((one.item, one.repetition))) is not None]
    return Paired(
        unit=_numbered([item for item, _, _ in both]),
        baseline=np.array([was for _, was, _ in both], dtype=float),
        candidate=np.array([said for _, _, said in both], dtype=float),
        alone=np.array([said for _, said in known], dtype=float),
        alone_unit=_numbered([one.item for one, _ in known]),
    )


def _numbered(items: Sequence[int]) -> Counts:
    numbers: Counts = np.unique(np.array(items, dtype=np.int64), return_inverse=True)[1]
    return numbers
