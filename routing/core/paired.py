"""Does the candidate answer worse than the base, by more than it may? A test of scores that may be read at any time.

Scores lie in [0, 1]. Each pair is a scored answer of either arm; its gap, the base's score less the candidate's, lies
in [-1, 1]. The hypothesis is that the mean of a gap, given all that came before, is at most ``tolerance``, however
scores are distributed and however they drift. As in ``sequential``, evidence against it is a fortune that begins at 1,
and by Ville's inequality the chance that it ever reaches 1/alpha is at most alpha.

**The bet.** A pair multiplies the fortune by 1 + bet (gap - tolerance) / (1 + tolerance), with 0 < bet < 1. The
fraction is never below -1, so no fortune goes below 0; its mean is at most 0 under the hypothesis, so none grows on
average (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", 2023). The best bet is not
known: the fortune is spread over several and averaged.

A bet does not change from pair to pair, so the order of pairs does not matter, and how often each gap came up is all
that is kept. From that follows the fortune for any tolerance. Those for which it has not reached 2/0.05 on either side
are an interval that holds the mean gap with 95 %, whenever it is read. Scores count in hundredths.
"""

from math import exp, log, log1p
from typing import NamedTuple

BETS = (0.1, 0.3, 0.6, 0.9)
SCALE = 100  # scores count in hundredths
CONFIDENCE = 0.95  # of the interval
STEPS = 24  # halvings: far finer than a hundredth


class Paired(NamedTuple):
    """Sums of both arms' scores and the gaps with how often each came up, all in hundredths. ``log_e``: the natural
    logarithm of the fortune; ``peak``: its highest so far, which decides."""

    base: int = 0
    candidate: int = 0
    gaps: tuple[tuple[int, int], ...] = ()
    log_e: float = 0.0
    peak: float = 0.0

    @property
    def pairs(self) -> int:
        return sum(times for _, times in self.gaps)

    @property
    def means(self) -> tuple[float, float]:
        """Of candidate and base; needs a pair."""
        pairs = self.pairs * SCALE
        return self.candidate / pairs, self.base / pairs


NO_PAIRS = Paired()


def with_pair(test: Paired, candidate: float, base: float, *, tolerance: float) -> Paired:
    """``tolerance``: 0 to below 1."""
    ours, theirs = round(candidate * SCALE), round(base * SCALE)
    gaps = dict(test.gaps)
    gaps[theirs - ours] = gaps.get(theirs - ours, 0) + 1
    kept = tuple(sorted(gaps.items()))
    log_e = _log_fortune(kept, tolerance)
    return Paired(test.base + theirs, test.candidate + ours, kept, log_e, max(test.peak, log_e))


def interval(test: Paired) -> tuple[float, float]:
    """Between which gaps the mean lies; -1 to 1 while nothing is known."""
    mirrored = tuple((-gap, times) for gap, times in test.gaps)
    return _lowest(test.gaps), -_lowest(mirrored)


def _lowest(gaps: tuple[tuple[int, int], ...]) -> float:
    """The largest tolerance that is shown to be exceeded; the fortune falls as the tolerance grows."""
    bar = log(2 / (1 - CONFIDENCE))
    low, high = -1.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _log_fortune(gaps, middle) >= bar:
            low = middle
        else:
            high = middle
    return low


def _log_fortune(gaps: tuple[tuple[int, int], ...], tolerance: float) -> float:
    """``tolerance`` above -1."""
    shares = [((gap / SCALE - tolerance) / (1 + tolerance), times) for gap, times in gaps]
    fortunes = [sum(times * log1p(bet * share) for share, times in shares) for bet in BETS]
    most = max(fortunes)
    return most + log(sum(exp(one - most) for one in fortunes) / len(BETS))
