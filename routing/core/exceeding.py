"""Amounts (milliseconds, micro-dollars) as calls that are bad or not, so that one test serves for all of them.

A call of the base is bad if it lies above ``level``, which follows a quantile of the base; one of the candidate if it
lies above ``margin`` times that. If the candidate is at most ``margin`` times as large as the base, in the sense that
every quantile is, its calls are bad at most as often: exactly what ``sequential`` tests, without a word on how amounts
are distributed. The level is moved between blocks only, and by what the base did before, so that every block is fair.
"""

from math import log
from typing import NamedTuple

from routing.core.sequential import NOTHING_SEEN, Contest, with_base, with_candidate

STEP = 0.05  # of the logarithm of the level, for one call of the base
WARM_UP = 30  # calls of the base that only find the level
LEAST = 1e-3  # amounts below it count as it: a logarithm is taken


class Exceeding(NamedTuple):
    """``level`` (a natural logarithm) holds for the open block, ``next_level`` is where it moves to then."""

    level: float = 0.0
    next_level: float = 0.0
    warm: int = 0  # calls of the base seen, up to WARM_UP
    test: Contest = NOTHING_SEEN


def log_amount(amount: float) -> float:
    return log(max(amount, LEAST))


def base_amount(state: Exceeding, amount: float, *, quantile: float) -> Exceeding:
    """``amount`` by ``log_amount``, as below."""
    level, next_level, warm, test = state
    if warm < WARM_UP:
        next_level = _followed(next_level, amount, quantile) if warm else amount
        return Exceeding(next_level, next_level, warm + 1, test)
    test = with_base(test, 1, amount > level, usual=1 - quantile)
    next_level = _followed(next_level, amount, quantile)
    return Exceeding(next_level if _between_blocks(test) else level, next_level, warm, test)


def candidate_amount(state: Exceeding, amount: float, *, quantile: float, margin: float) -> Exceeding:
    """Not counted before the level was found."""
    level, next_level, warm, test = state
    if warm < WARM_UP:
        return state
    test = with_candidate(test, 1, amount > level + log(margin), usual=1 - quantile)
    return Exceeding(next_level if _between_blocks(test) else level, next_level, warm, test)


def _followed(level: float, amount: float, quantile: float) -> float:
    """Robbins and Monro's way to a quantile: up a little if the amount lies above, down if not."""
    return level + STEP * (quantile if amount > level else quantile - 1)


def _between_blocks(test: Contest) -> bool:
    return not test.open_calls and not test.open_base
