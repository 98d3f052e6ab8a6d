"""How sure is a figure of two runs: intervals by drawing the prompts again, with replacement, thousands of times.

What is drawn is the *unit*, a prompt with all its repetitions, and both runs' results to it together: repetitions of
one prompt are no independent evidence, and most of what makes latencies and costs differ (long prompts, hard prompts)
is the same in both runs and falls out of a paired comparison. Only how often a unit was drawn matters, so a resample is
a row of counts, and figures of thousands of resamples are products of matrices.

Means and ratios of means: BCa intervals, which correct bias and skew (Efron, "Better bootstrap confidence intervals",
1987); costs and scores are skewed. Percentiles and trimmed means: plain percentile intervals, as a percentile is no
smooth function of the sample and BCa's jackknife fails for it (Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993, 11.6). Percentiles far out need samples that reach there: see ``gate.least_pairs``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Measure = Literal["value", "change", "difference"]
RESAMPLES = 10_000  # up to 1,000 pairs; fewer for more pairs, so that 10,000 pairs take about a second
LEAST_RESAMPLES = 2_000
CELLS = 1_000_000  # of a block of resamples, so that memory stays bounded
NORMAL = NormalDist()


class Interval(NamedTuple):
    """``change`` is a share of the baseline (0.1: 10 % more), infinite if the baseline is nothing."""

    estimate: float
    low: float
    high: float


class Levels(NamedTuple):
    """The chance that the true figure lies below ``low``, and above ``high``."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Pairs of values, each with the number of its unit, from 0 and without gaps; for "value" only ``candidate``
    counts. ``seed`` decides what is drawn."""

    unit: Counts
    baseline: Floats
    candidate: Floats
    seed: int = 1

    @property
    def resamples(self) -> int:
        return min(max(RESAMPLES * 1_000 // len(self.unit), LEAST_RESAMPLES), RESAMPLES)

    @property
    def units(self) -> int:
        return int(self.unit.max()) + 1


def mean_interval(sample: Sample, measure: Measure, levels: Levels) -> Interval:
    """Of the candidate's mean, of the mean difference, or of the change of the mean."""
    each = (sample.candidate, sample.baseline, np.ones_like(sample.candidate))
    sums: Floats = np.stack([np.bincount(sample.unit, values, sample.units) for values in each], axis=1)
    whole = sums.sum(axis=0)
    estimate = float(_means(whole[None, :], measure)[0])
    if not np.isfinite(estimate):
        return Interval(estimate, estimate, estimate)
    drawn = np.concatenate([_means(counts @ sums, measure) for counts in _draws(sample)])
    without_one = _means(whole - sums, measure)
    return Interval(estimate, *_bca(drawn, estimate, without_one[np.isfinite(without_one)], levels))


def quantile_interval(sample: Sample, share: float, measure: Measure, levels: Levels) -> Interval:
    """The same of a percentile, by the nearest rank as ``metrics.quantile`` counts it."""
    of_candidate = _ranked(sample.candidate, sample.unit, share)
    of_baseline = _ranked(sample.baseline, sample.unit, share)

    def figure(counts: Counts) -> Floats:
        return _compared(of_candidate(counts), of_baseline(counts), measure)

    return _percentile_interval(sample, figure, levels)


def typical_change_interval(sample: Sample, levels: Levels) -> Interval:
    """The change of a typical pair: the mean of the middle half of log(candidate / baseline). Latencies of one prompt
    differ by factors with heavy tails; this needs a third of the pairs that a ratio of medians needs (README)."""
    logs = np.log(sample.candidate / sample.baseline)
    order = np.argsort(logs, kind="stable")
    logs, unit = logs[order], sample.unit[order]

    def figure(counts: Counts) -> Floats:
        reached = np.cumsum(counts[:, unit], axis=1)
        total = reached[:, -1:]
        kept = np.diff(np.clip(reached, total / 4, total * 3 / 4), axis=1, prepend=total / 4)
        change: Floats = np.expm1((kept @ logs) / (total[:, 0] / 2))
        return change

    return _percentile_interval(sample, figure, levels)


def _percentile_interval(sample: Sample, figure: Callable[[Counts], Floats], levels: Levels) -> Interval:
    estimate = float(figure(np.ones((1, sample.units), dtype=np.int64))[0])
    drawn = np.sort(np.concatenate([figure(counts) for counts in _draws(sample)]))
    return Interval(estimate, _at(drawn, levels.low), _at(drawn, 1 - levels.high))


def _draws(sample: Sample) -> Iterator[Counts]:
    """Blocks of resamples: how often each unit was drawn."""
    chance, units, left = np.random.default_rng(sample.seed), sample.units, sample.resamples
    while left:
        rows = min(left, max(1, CELLS // len(sample.unit)))
        drawn = chance.integers(0, units, (rows, units)) + np.arange(rows)[:, None] * units
        yield np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
        left -= rows


def _means(sums: Floats, measure: Measure) -> Floats:
    """``sums``: of the candidate's values, of the baseline's, and of how many there are; a row each."""
    many = np.maximum(sums[:, 2], 1)
    return _compared(sums[:, 0] / many, sums[:, 1] / many, measure)


def _compared(candidate: Floats, baseline: Floats, measure: Measure) -> Floats:
    if measure == "value":
        return candidate
    if measure == "difference":
        return candidate - baseline
    none = np.where(candidate == 0, 0.0, np.inf)  # where the baseline is nothing
    with np.errstate(over="ignore"):  # of next to nothing the change is infinite, too
        return np.divide(candidate - baseline, baseline, out=none, where=baseline != 0)


def _ranked(values: Floats, unit: Counts, share: float) -> Callable[[Counts], Floats]:
    order = np.argsort(values, kind="stable")
    values, unit = values[order], unit[order]

    def of(counts: Counts) -> Floats:
        reached = np.cumsum(counts[:, unit], axis=1)
        rank = np.maximum(np.ceil(share * reached[:, -1:]), 1)
        found: Floats = values[np.argmax(reached >= rank, axis=1)]
        return found

    return of


def _bca(drawn: Floats, estimate: float, without_one: Floats, levels: Levels) -> tuple[float, float]:
    drawn = np.sort(drawn)
    if drawn[0] == drawn[-1]:
        return float(drawn[0]), float(drawn[-1])
    below = (np.count_nonzero(drawn < estimate) + np.count_nonzero(drawn <= estimate)) / 2 / len(drawn)
    bias = NORMAL.inv_cdf(min(max(below, 1 / len(drawn)), 1 - 1 / len(drawn)))
    apart = without_one.mean() - without_one
    spread = float((apart**2).sum()) ** 1.5
    skew = float((apart**3).sum()) / (6 * spread) if spread else 0.0

    def corrected(share: float) -> float:
        z = bias + NORMAL.inv_cdf(share)
        return NORMAL.cdf(bias + z / max(1 - skew * z, 0.1))

    return _at(drawn, corrected(levels.low)), _at(drawn, corrected(1 - levels.high))


def _at(ordered: Floats, share: float) -> float:
    """The nearest rank: an infinite change among finite ones must not be averaged with them."""
    return float(ordered[min(max(int(share * len(ordered)), 0), len(ordered) - 1)])
