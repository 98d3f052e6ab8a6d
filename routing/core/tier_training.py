"""From prompts with both tiers' results to a `TierModel`: two linear regressions with one closed solution."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from routing.core.questions import LIMITING, Measures
from routing.core.tiers import Line, TierModel

RIDGE = 200.0  # prompts' worth of belief in "no influence"; 50 to 800 give the same curve
TAIL = 0.005  # of each measure's values at either end count as not learned

Flags = NDArray[np.bool_]


def train(prompts: Sequence[Measures], weak: Flags, strong: Flags) -> TierModel:
    """`weak[i]`, `strong[i]`: whether that tier answered prompt i right. At least one prompt."""
    values = np.array(prompts, np.float64)
    low, high = np.quantile(values, (TAIL, 1 - TAIL), axis=0)
    outcomes = np.stack([strong & ~weak, weak & ~strong], axis=1).astype(np.float64)
    weights = np.zeros((len(Measures._fields), 2))
    weights[LIMITING:] = _ridge(values[:, LIMITING:], outcomes)
    columns = zip(low, high, values.mean(0), weights[:, 0], weights[:, 1], strict=True)
    better, worse = outcomes.mean(0)
    return TierModel(float(better), float(worse), tuple(Line(*map(float, column)) for column in columns))


def _ridge(values: NDArray[np.float64], outcomes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (measures, outcomes) for values as they are; the penalty is on standardised ones."""
    spread = values.std(0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    standard = (values - values.mean(0)) / scale
    matrix = standard.T @ standard + RIDGE * np.eye(values.shape[1])
    solution: NDArray[np.float64] = np.linalg.solve(matrix, standard.T @ (outcomes - outcomes.mean(0)))
    return solution / scale[:, None]
