"""How far a judge can be trusted: does it agree with itself when places are swapped, and with what is known?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from evals.core.judging import Verdict

Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Agreement:
    """``low`` and ``high``: Wilson's 95 % interval of the share."""

    agreed: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.agreed / self.of


def swap_agreement(pairs: Sequence[tuple[Verdict, Verdict]]) -> Agreement | None:
    """Of pairs of verdicts on the same answers in both orders; None without a pair. A judge that always takes the first
    agrees never, one that always says “tie” always: read it beside kappa."""
    if not pairs:
        return None
    agreed = sum(first == swapped for first, swapped in pairs)
    return Agreement(agreed, len(pairs), *wilson(agreed, len(pairs)))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Wilson, "Probable inference, the law of succession, and statistical inference" (1927). ``of``: at least 1."""
    share, shrink = hits / of, 1 + Z**2 / of
    middle = share + Z**2 / (2 * of)
    away = Z * sqrt(share * (1 - share) / of + Z**2 / (4 * of**2))
    return max(0.0, (middle - away) / shrink), min(1.0, (middle + away) / shrink)


def kappa(judged: Sequence[tuple[Verdict, Verdict]]) -> float | None:
    """Cohen's kappa ("A coefficient of agreement for nominal scales", 1960) of (verdict, known) pairs: 1 is perfect, 0
    what two who don't look would reach. None: without pairs, or where both always say the same one thing."""
    total = len(judged)
    said, known = Counter(verdict for verdict, _ in judged), Counter(right for _, right in judged)
    by_chance = sum(said[verdict] * known[verdict] for verdict in Verdict)
    if by_chance == total**2:
        return None
    agreed = sum(verdict == right for verdict, right in judged)
    return (agreed * total - by_chance) / (total**2 - by_chance)


def known_verdict(candidate: float, other: float) -> Verdict:
    """From exact scores (1 right, 0 wrong) of both answers."""
    if candidate == other:
        return Verdict.SAME
    return Verdict.BETTER if candidate > other else Verdict.WORSE
