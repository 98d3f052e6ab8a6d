"""Intervals for what changes between two sides of the same requests: the pairs are drawn again, with replacement."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

RESAMPLES = 1_000
AT_ONCE = 1_000_000  # draws in memory at a time
Statistic = Callable[[Any], Any]  # (resamples, pairs) or (pairs,) -> one value for each resample


class Interval(NamedTuple):
    """``change`` with its 95 % interval. Infinite where something comes of nothing."""

    change: float
    low: float
    high: float


def mean(values: Any) -> Any:
    return np.mean(values, axis=-1)


def p95(values: Any) -> Any:
    return np.percentile(values, 95, axis=-1)


def relative(old: Any, new: Any) -> Any:
    """In percent of the old."""
    old, new = np.asarray(old, float), np.asarray(new, float)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(old > 0, (new / old - 1) * 100, np.where(new > 0, np.inf, 0.0))


def difference(old: Any, new: Any) -> Any:
    """In percentage points, of shares."""
    return (np.asarray(new, float) - np.asarray(old, float)) * 100


def interval(pairs: Any, statistic: Statistic, compare: Callable[[Any, Any], Any], seed: int) -> Interval:
    """Of ``pairs``, an array (number, 2) of old and new values, at least one: the change of the statistic, with the
    percentile interval of the bootstrap (Efron & Tibshirani 1993, ch. 13). The same seed gives the same interval."""
    draws, found = np.random.default_rng(seed), []
    number = len(pairs)
    step = max(1, AT_ONCE // number)
    for done in range(0, RESAMPLES, step):
        chosen = pairs[draws.integers(0, number, (min(step, RESAMPLES - done), number))]
        found.append(compare(statistic(chosen[..., 0]), statistic(chosen[..., 1])))
    spread = np.concatenate(found)
    change = float(compare(statistic(pairs[:, 0]), statistic(pairs[:, 1])))
    low = float(np.percentile(spread, 2.5, method="lower"))  # without interpolation: infinity stays what it is
    return Interval(change, low, float(np.percentile(spread, 97.5, method="higher")))
