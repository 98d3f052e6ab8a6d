"""Is the candidate worse than the base? A test that may be read after every call, for as long as one likes.

Each call of an arm is bad or not (failed; slower than the base's median ...). The hypothesis is that a call of the
candidate is bad at most as often as one of the base, whatever those rates are and however they move. Evidence against
it is a fortune: 1 at the start, multiplied by a bet on each block of calls, and on average never growing while the
hypothesis holds. So the chance that it *ever* reaches 1/alpha is at most alpha (Ville's inequality), which is what
makes looking at any time harmless; a z-test that is read again and again has no such bound.

**The bet.** A block has n calls of the candidate and m of the base, k and l of them bad. Choose rates q > b for the
two arms *before* the block and put r = (n q + m b) / (n + m). The fortune is multiplied by

    (q/r)^k ((1-q)/(1-r))^(n-k) (b/r)^l ((1-b)/(1-r))^(m-l)

With true rates p (candidate) and s (base) its mean is A(p)^n B(s)^m, where A(x) = 1 + (x-r)(q-r)/(r(1-r)) and B(x) the
same with b. A grows with x and B falls, so for p <= s the mean is at most A(s)^n B(s)^m. Since n(q-r) + m(b-r) = 0,
the weighted arithmetic mean of A(s) and B(s) is 1, and their weighted geometric mean is at most that: the bet is fair
or worse for every p <= s. This is the e-variable of Turner, Ly and Gruenwald, "Generic E-variables for exact sequential
k-sample tests" (2024), whose growth is the best possible if q and b are the true rates. The true q is not known: the
fortune is spread over several odds ratios and averaged (a mixture, as in Johari et al., "Always valid inference",
2022); b follows from earlier blocks. For e-processes and Ville see Waudby-Smith and Ramdas, "Estimating means of
bounded random variables by betting" (2023), and Howard et al., "Time-uniform, nonparametric, nonasymptotic confidence
sequences" (2021).

A block ends as soon as it has a call of each arm. Which arm a call belongs to is drawn from its key or conversation,
so that the end of a block says nothing of its outcomes.
"""

from collections.abc import Sequence
from math import exp, log
from typing import NamedTuple

ODDS = (2.0, 5.0, 20.0, 500.0)  # how much worse than the base the bets take the candidate to be
WEIGHTS = (0.2, 0.5, 0.15, 0.15)
AT_FIRST = tuple([log(weight) for weight in WEIGHTS])  # the bets share a fortune of 1
PRIOR_CALLS = 20  # of the base, as if seen before the first, so that its rate is never 0 or 1


class Contest(NamedTuple):
    """Calls and bad ones of both arms in finished blocks, those of the block that is open, and the log of each bet's
    fortune. ``peak`` is the highest log of the whole fortune so far: it decides, since falling later undoes nothing."""

    base: int = 0
    base_bad: int = 0
    calls: int = 0
    bad: int = 0
    open_base: int = 0
    open_base_bad: int = 0
    open_calls: int = 0
    open_bad: int = 0
    fortunes: tuple[float, ...] = AT_FIRST
    peak: float = 0.0

    @property
    def log_e(self) -> float:
        """The natural logarithm of the fortune (the e-value)."""
        most = max(self.fortunes)
        return most + log(sum(exp(one - most) for one in self.fortunes))

    @property
    def candidate(self) -> tuple[int, int]:
        """Calls and bad ones of the candidate, open block included."""
        return self.calls + self.open_calls, self.bad + self.open_bad

    @property
    def reference(self) -> tuple[int, int]:
        """The same of the base."""
        return self.base + self.open_base, self.base_bad + self.open_base_bad


NOTHING_SEEN = Contest()


def with_base(test: Contest, calls: int, bad: int, *, usual: float) -> Contest:
    """``usual``: the share of bad calls, above 0 and below 1, to expect of the base before anything was seen."""
    seen = Contest(*test[:4], test[4] + calls, test[5] + bad, *test[6:])
    return _closed(seen, usual) if seen.open_calls else seen


def with_candidate(test: Contest, calls: int, bad: int, *, usual: float) -> Contest:
    seen = Contest(*test[:6], test[6] + calls, test[7] + bad, *test[8:])
    return _closed(seen, usual) if seen.open_base else seen


def alone(test: Contest, calls: int, bad: int, *, limit: float) -> Contest:
    """Calls of the candidate held against a fixed rate, 0 < limit < 1, where there is no base to compare with.

    It is the bet above with a base that is known: m without end, so that b = r = limit. Its mean is A(p) <= 1 for every
    rate p <= limit.
    """
    after = [
        fortune + _gain(bad, calls - bad, _worse(limit, odds), limit)
        for fortune, odds in zip(test.fortunes, ODDS, strict=True)
    ]
    return _grown(test._replace(calls=test.calls + calls, bad=test.bad + bad), after)


def _closed(test: Contest, usual: float) -> Contest:
    """The open block is bet on with what was known before it, and counted."""
    b = (test.base_bad + PRIOR_CALLS * usual) / (test.base + PRIOR_CALLS)
    n, m = test.open_calls, test.open_base
    after = []
    for fortune, odds in zip(test.fortunes, ODDS, strict=True):
        q = _worse(b, odds)
        r = (n * q + m * b) / (n + m)
        gain = _gain(test.open_bad, n - test.open_bad, q, r) + _gain(test.open_base_bad, m - test.open_base_bad, b, r)
        after.append(fortune + gain)
    counted = Contest(test.base + m, test.base_bad + test.open_base_bad, test.calls + n, test.bad + test.open_bad)
    return _grown(counted._replace(peak=test.peak), after)


def _grown(test: Contest, fortunes: Sequence[float]) -> Contest:
    grown = test._replace(fortunes=tuple(fortunes))
    return grown._replace(peak=max(test.peak, grown.log_e))


def _worse(rate: float, odds: float) -> float:
    return odds * rate / (1 - rate + odds * rate)


def _gain(bad: int, good: int, bet: float, fair: float) -> float:
    return bad * log(bet / fair) + good * log((1 - bet) / (1 - fair))
