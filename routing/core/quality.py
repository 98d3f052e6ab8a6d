"""How good is an order in which prompts go to the strong tier? The curve of quality over the share of strong calls."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

KEEP = 0.95  # of the strong tier's score


@dataclass(frozen=True, slots=True)
class Figures:
    strong_share_at_95: float  # smallest share of strong calls that keeps 95 % of the strong tier's score
    random_share_at_95: float  # the same when chance chooses
    oracle_share_at_95: float  # the same when the results are known beforehand
    apgr: float | None  # mean over all shares of the weak-strong gap recovered; chance .5; None: there is no gap
    weak_score: float
    strong_score: float


def curve(gains: Numbers, weak: Flags, strong: Flags) -> Numbers:
    """Expected score with 0, 1 ... n prompts sent to the strong tier, largest gain first; ties in random order."""
    order = np.argsort(-gains, kind="stable")
    added = strong.astype(np.float64) - weak
    _, block, sizes = np.unique(-gains[order], return_inverse=True, return_counts=True)
    expected = (np.bincount(block, added[order]) / sizes)[block]
    scores: Numbers = (weak.sum() + np.concatenate([[0.0], np.cumsum(expected)])) / len(weak)
    return scores


def figures(gains: Numbers, weak: Flags, strong: Flags) -> Figures:
    """At least one prompt."""
    target = KEEP * float(strong.mean())
    scores = curve(gains, weak, strong)
    return Figures(
        strong_share_at_95=_share(scores, target),
        random_share_at_95=_share(random_curve(weak, strong), target),
        oracle_share_at_95=_share(oracle_curve(weak, strong), target),
        apgr=_recovered(scores, float(weak.mean()), float(strong.mean())),
        weak_score=float(weak.mean()),
        strong_score=float(strong.mean()),
    )


def random_curve(weak: Flags, strong: Flags) -> Numbers:
    return curve(np.zeros(len(weak)), weak, strong)


def oracle_curve(weak: Flags, strong: Flags) -> Numbers:
    return curve(strong.astype(np.float64) - weak, weak, strong)


def _share(scores: Numbers, target: float) -> float:
    """Between two prompts by chance, hence the fraction. The last score, all strong, is always enough."""
    enough = scores >= target - 1e-9
    enough[-1] = True
    first = int(np.argmax(enough))
    if first == 0:
        return 0.0
    before, after = scores[first - 1], scores[first]
    part = min((target - before) / (after - before), 1.0) if after > before else 1.0
    return float((first - 1 + part) / (len(scores) - 1))


def _recovered(scores: Numbers, weak: float, strong: float) -> float | None:
    if strong <= weak:
        return None
    return (float(np.trapezoid(scores)) / (len(scores) - 1) - weak) / (strong - weak)
