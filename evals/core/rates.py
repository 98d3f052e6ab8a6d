"""Intervals of rates: errors, refusals, hits. Closed forms, because a rare event may not occur in the sample at all,
and drawing again from a sample without one never draws one: the bootstrap would be certain of 0 after ten calls.

``units`` are prompts; where each was asked several times its value is a mean, so that repetitions of one prompt never
count as independent evidence. That is careful rather than sharp: more prompts say more than more repetitions.
"""

from math import sqrt
from statistics import NormalDist

import numpy as np

from evals.core.bootstrap import Floats, Interval, Levels

NORMAL = NormalDist()


def rate_interval(values: Floats, levels: Levels) -> Interval:
    """Wilson's score interval ("Probable inference", 1927) of the mean of values from 0 to 1, one a unit."""
    units, rate = len(values), float(values.mean())
    ends = []
    for side, chance in ((-1, levels.low), (1, levels.high)):
        z = NORMAL.inv_cdf(1 - chance)
        middle = rate + z**2 / (2 * units)
        away = z * sqrt(max(rate * (1 - rate), 0.0) / units + (z / (2 * units)) ** 2)
        ends.append(min(max((middle + side * away) / (1 + z**2 / units), 0.0), 1.0))
    return Interval(rate, ends[0], ends[1])


def rate_difference_interval(baseline: Floats, candidate: Floats, levels: Levels) -> Interval:
    """Of candidate − baseline, paired by unit: Bonett and Price, "Adjusted Wald confidence interval for a difference of
    binomial proportions based on paired data" (2012). One unit is added to each of the two ways in which a pair can
    differ, so that no interval is a point."""
    units, apart = len(candidate), candidate - baseline
    more = (float(np.maximum(apart, 0).sum()) + 1) / (units + 2)
    less = (float(np.maximum(-apart, 0).sum()) + 1) / (units + 2)
    middle, spread = more - less, sqrt((more + less - (more - less) ** 2) / (units + 2))
    low = middle - NORMAL.inv_cdf(1 - levels.low) * spread
    high = middle + NORMAL.inv_cdf(1 - levels.high) * spread
    return Interval(float(apart.mean()), max(low, -1.0), min(high, 1.0))
