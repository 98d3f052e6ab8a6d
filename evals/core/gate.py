"""Is the candidate proven worse than a bound, proven to be within it, or is the sample too small to say?

Each rule gets an interval for its figure, and the interval decides:

* wholly beyond the bound: **fail**; it is proven worse.
* wholly within the bound: **pass**; it is proven good enough.
* across the bound, or fewer pairs than the rule asks for: **undecided**, with the sample that would probably decide.

Its two ends are not alike. A gate passes only if every rule passes, so the bad end is wrong with a chance of
1 − confidence, whatever the number of rules. A gate fails as soon as one of its rules does, so the good end shares that
chance among all rules (Bonferroni): a candidate that is exactly at all its bounds fails with at most 1 − confidence,
and an unchanged one, which is a margin away from them, practically never.

How each figure is estimated: rates by closed forms (``rates``), means by BCa, percentiles by the bootstrap
(``bootstrap``). The change of a *median* is that of the typical pair of answers to the same prompt, which shows a
latency 10 % higher with a fraction of the pairs that the ratio of two medians needs; it may therefore differ a little
from the ratio of the two medians beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite
from typing import Literal

import numpy as np

from evals.core.bootstrap import (
    Floats,
    Interval,
    Levels,
    Measure,
    Sample,
    mean_interval,
    quantile_interval,
    typical_change_interval,
)
from evals.core.metrics import Answered, aggregate, metric_of
from evals.core.pairs import Paired, paired
from evals.core.rates import rate_difference_interval, rate_interval

Verdict = Literal["pass", "fail", "undecided"]
QUANTILES = {"p50_latency": 0.5, "p95_latency": 0.95, "p99_latency": 0.99, "ttft_p50": 0.5, "ttft_p95": 0.95}
LEAST_MS = 0.001  # of a latency, since the change of 0 is no number
LEAST_ITEMS = 10  # prompts; intervals by drawing fewer of them again are not to be trusted
BEYOND = 5  # values that a sample must have beyond a percentile
MOST_MORE = 1_000_000  # pairs that would decide; more is “too close to say”


@dataclass(frozen=True, slots=True)
class Rule:
    """``bound`` of a "change" is in percent (10: 10 % more), else in the metric's unit, shares from 0 to 1."""

    metric: str
    direction: Literal["at_most", "at_least"]
    measure: Measure
    bound: float
    min_pairs: int = 30

    @property
    def limit(self) -> float:
        return self.bound / 100 if self.measure == "change" else self.bound

    @property
    def least_pairs(self) -> int:
        """The rule's own minimum, or what the percentile needs to be seen at all: 100 for p95, 500 for p99."""
        share = QUANTILES.get(self.metric)
        return max(self.min_pairs, round(BEYOND / (1 - share)) if share else 0)


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule with its evidence. ``interval`` is None where nothing can be compared; ``more`` estimates how many more
    pairs would decide it (None: decided, or too close to the bound to say)."""

    rule: Rule
    verdict: Verdict
    baseline: float | None
    candidate: float | None
    interval: Interval | None
    pairs: int
    items: int
    more: int | None


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    findings: tuple[Finding, ...]
    confidence: float


def decide(
    rules: Sequence[Rule], baseline: Sequence[Answered], candidate: Sequence[Answered], *, confidence: float = 0.95
) -> Decision:
    """``confidence`` is of the gate as a whole, as the module says. The same results give the same decision: resamples
    are drawn from a fixed seed. Raises KeyError for a metric that does not exist."""
    wrong = 1 - confidence
    findings = tuple(_finding(rule, paired(rule.metric, baseline, candidate), wrong, len(rules)) for rule in rules)
    return Decision(verdict_of([finding.verdict for finding in findings]), findings, confidence)


def verdict_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Of a gate, from its rules'; one without rules proves nothing."""
    if "fail" in verdicts:
        return "fail"
    return "undecided" if "undecided" in verdicts or not verdicts else "pass"


def _finding(rule: Rule, pairs: Paired, wrong: float, rules: int) -> Finding:
    figures = (_figure(rule.metric, pairs.baseline), _figure(rule.metric, pairs.candidate))
    if rule.measure == "value":
        pairs = pairs.candidate_alone()
        figures = (figures[0], _figure(rule.metric, pairs.candidate))
    many, items = len(pairs.candidate), pairs.items
    if many < 2:
        return Finding(rule, "undecided", *figures, None, many, items, None)
    good, bad = wrong / rules, wrong
    levels = Levels(good, bad) if rule.direction == "at_most" else Levels(bad, good)
    interval = _interval(rule, pairs, levels)
    enough = many >= rule.least_pairs and items >= LEAST_ITEMS
    verdict = _verdict(rule, interval) if enough else "undecided"
    more = _more(rule, interval, many) if verdict == "undecided" else None
    return Finding(rule, verdict, *figures, interval, many, items, more)


def _figure(metric: str, values: Floats) -> float | None:
    return float(aggregate(metric, values.tolist())) if len(values) else None


def _interval(rule: Rule, pairs: Paired, levels: Levels) -> Interval:
    share = QUANTILES.get(rule.metric)
    if share is not None:
        sample = Sample(pairs.unit, np.maximum(pairs.baseline, LEAST_MS), np.maximum(pairs.candidate, LEAST_MS))
        if share == 0.5 and rule.measure == "change":
            return typical_change_interval(sample, levels)
        return quantile_interval(sample, share, rule.measure, levels)
    if rule.measure != "change" and _is_rate(rule.metric, pairs):
        means = pairs.by_item()
        if rule.measure == "value":
            return rate_interval(means.candidate, levels)
        return rate_difference_interval(means.baseline, means.candidate, levels)
    return mean_interval(Sample(pairs.unit, pairs.baseline, pairs.candidate), rule.measure, levels)


def _is_rate(metric: str, pairs: Paired) -> bool:
    """Shares, and scores that are only ever right or wrong."""
    unit = metric_of(metric).unit
    every = np.concatenate([pairs.baseline, pairs.candidate])
    return unit == "share" or (unit == "score" and bool(np.isin(every, (0.0, 1.0)).all()))


def _ends(rule: Rule, interval: Interval) -> tuple[float, float, float]:
    """Estimate, good end and bad end, as how far they are beyond the bound."""
    sign = 1.0 if rule.direction == "at_most" else -1.0
    good, bad = (interval.low, interval.high) if sign > 0 else (interval.high, interval.low)
    return sign * (interval.estimate - rule.limit), sign * (good - rule.limit), sign * (bad - rule.limit)


def _verdict(rule: Rule, interval: Interval) -> Verdict:
    _, good, bad = _ends(rule, interval)
    if good > 0:
        return "fail"
    return "pass" if bad <= 0 else "undecided"


def _more(rule: Rule, interval: Interval, pairs: int) -> int | None:
    """Intervals shrink with the root of the sample; the estimate is taken as it is. At least up to the minimum."""
    estimate, good, bad = _ends(rule, interval)
    apart = (bad - estimate) if estimate <= 0 else (estimate - good)
    factor = (apart / abs(estimate)) ** 2 if estimate and isfinite(apart) and isfinite(estimate) else inf
    if pairs * factor > MOST_MORE:
        return None
    return max(ceil(pairs * factor), rule.least_pairs, pairs + 1) - pairs
