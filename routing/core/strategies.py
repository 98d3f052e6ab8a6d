"""In which order the candidates of a plan are asked. Chance is an argument: ``draw``, 0 <= draw < 1.

Each strategy orders all candidates that could answer; equals keep the route's order. Those that should rest (failing,
breaker open, limits used up) then go behind the others, whatever the strategy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from routing.core.candidate import Candidate, cost_microusd
from routing.core.evidence import NOTHING_KNOWN, Burn, Evidence
from routing.core.policy import Settings
from routing.core.scoring import Facts, Points, Wanted, facts_of, latency_of, points_of
from routing.core.split import Split, arm_of
from routing.core.trial import Trial
from traces.core.formats import duration, money

EVIDENCE_SLO = 0.99  # what the burn rates of Evidence are against
FAST_BURN, SLOW_BURN = 14.4, 6.0  # spends 2 % of a month's budget in an hour, 5 % in six (Google's SRE Workbook, ch. 5)


class Ranked(NamedTuple):
    """``said`` is what the strategy looked at, in words; empty where that is only the order."""

    candidate: Candidate
    known: Evidence
    said: str = ""
    facts: Facts | None = None
    points: Points | None = None


class Order(NamedTuple):
    """``arm``: the deployment that the draw chose, whether it can answer just now or not; else empty."""

    ranked: Sequence[Ranked]
    arm: str = ""
    why: str = ""


class Circumstances(NamedTuple):
    settings: Settings
    wanted: Wanted
    evidence: Mapping[str, Evidence]
    draw: float
    split: Split | None = None  # of the route
    trial: Trial | None = None  # the route's canary


Strategy = Callable[[Sequence[Candidate], Circumstances], Order]


def order(candidates: Sequence[Candidate], given: Circumstances) -> Order:
    found = STRATEGIES[given.settings.strategy](candidates, given)
    if given.trial is not None and given.trial.candidate and given.trial.deployment:
        return _tried_first(found, given.trial.deployment)
    if given.split is not None:
        found = _arm_first(found, given.split)
    return found if given.trial is None else _tried_last(found, given.trial.deployment)


def _tried_first(found: Order, deployment: str) -> Order:
    """On the canary's own side it goes before whatever strategy and split say."""
    first = [one for one in found.ranked if one.candidate.deployment == deployment]
    return Order([*first, *(one for one in found.ranked if one not in first)], deployment if first else "")


def _tried_last(found: Order, deployment: str) -> Order:
    """On the base's side it only steps in, else there would be nothing to compare with."""
    kept = [one for one in found.ranked if one.candidate.deployment != deployment]
    return found._replace(ranked=[*kept, *(one for one in found.ranked if one.candidate.deployment == deployment)])


def _arm_first(found: Order, split: Split) -> Order:
    """A route's split decides who is asked first; the strategy orders those behind."""
    arm = next((one for one in found.ranked if one.candidate.deployment == split.arm), None)
    if arm is None:
        return Order(found.ranked, why=f"{split.why} It cannot answer.")
    return Order([arm, *(one for one in found.ranked if one is not arm)], split.arm, split.why)


def known_of(candidate: Candidate, given: Circumstances) -> Evidence:
    return given.evidence.get(candidate.circuit, NOTHING_KNOWN)


def resting(known: Evidence, now: float) -> str:
    """Why it is tried last for now, in a sentence; empty if nothing speaks against it."""
    if known.retry_at > now:
        return f"{known.why}; tried last for {known.retry_at - now:.0f} s more."
    if known.breaker == "open":
        return f"{known.why or 'It failed too often'}; its breaker is open, so it is tried last."
    if known.quota_left is not None and known.quota_left <= 0:
        return f"{known.quota_why.rstrip('.') or 'Its limit is used up'}; tried last."
    return ""


def ordered(candidates: Sequence[Candidate], given: Circumstances) -> Order:
    return Order([Ranked(item, known_of(item, given)) for item in candidates])


def scored(candidates: Sequence[Candidate], given: Circumstances) -> Order:
    weights, wanted = given.settings.weights, given.wanted
    ranked, totals = [], []
    for item in candidates:
        known = known_of(item, given)
        facts = facts_of(item, known, wanted)
        points = points_of(facts, weights)
        ranked.append(Ranked(item, known, f"{points.total:.1f} points.", facts, points))
        totals.append(-points.total)
    return Order([ranked[index] for index in sorted(range(len(ranked)), key=totals.__getitem__)])


def cheapest(candidates: Sequence[Candidate], given: Circumstances) -> Order:
    wanted, ranked = given.wanted, []
    for item in candidates:
        cost = cost_microusd(item, wanted.tokens_in, wanted.tokens_out)
        known = known_of(item, given)
        ranked.append((cost, Ranked(item, known, f"Costs {money(cost)} at most.")))
    return Order(_by_figure(ranked))


def fastest_p95(candidates: Sequence[Candidate], given: Circumstances) -> Order:
    ranked = []
    for item in candidates:
        known = known_of(item, given)
        ms, measured = latency_of(item, known)
        said = f"Its p95 is {duration(ms)}." if measured else f"It typically takes {duration(ms)}; not measured yet."
        ranked.append((ms, Ranked(item, known, said)))
    return Order(_by_figure(ranked))


def slo_burn_aware(candidates: Sequence[Candidate], given: Circumstances) -> Order:
    ranked = []
    for item in candidates:
        known = known_of(item, given)
        said = burning(known.burn, given.settings.slo)
        ranked.append((1.0 if said else 0.0, Ranked(item, known, said)))
    return Order(_by_figure(ranked))


def burning(burn: Burn, slo: float) -> str:
    """Which window pair is over its limit, in a sentence; empty if the error budget lasts.

    The long window shows that it matters, the short one that it still goes on.
    """
    scale = (1 - EVIDENCE_SLO) / (1 - slo)
    h1, m5, h6, m30 = burn.h1 * scale, burn.m5 * scale, burn.h6 * scale, burn.m30 * scale
    if h1 >= FAST_BURN and m5 >= FAST_BURN:
        return f"Burns its error budget {h1:.1f}x over 1 h and {m5:.1f}x over 5 min (from {FAST_BURN}x on: behind)."
    if h6 >= SLOW_BURN and m30 >= SLOW_BURN:
        return f"Burns its error budget {h6:.1f}x over 6 h and {m30:.1f}x over 30 min (from {SLOW_BURN:g}x on: behind)."
    return ""


def weighted(candidates: Sequence[Candidate], given: Circumstances) -> Order:
    """One drawn by the route's shares (equal ones if it has none) goes first, the others stay in order behind it."""
    if not candidates:
        return Order([])
    shares = [item.share or 0 for item in candidates]
    if not any(shares):
        shares = [1] * len(candidates)
    arm = arm_of(shares, given.draw)
    return _drawn(candidates, given, arm, f"Drawn {given.draw:.3f} over shares {' / '.join(map(str, shares))}.")


def canary(candidates: Sequence[Candidate], given: Circumstances) -> Order:
    trial = given.settings.canary
    names = [item.deployment for item in candidates]
    if trial is None:
        return ordered(candidates, given)
    if trial.deployment not in names:
        why = (
            f"The canary {trial.deployment} is not among the candidates that can answer; the others are asked in order."
        )
        return ordered(candidates, given)._replace(why=why)
    others = [item for item in candidates if item.deployment != trial.deployment]
    tried = candidates[names.index(trial.deployment)]
    said = f"Drawn {given.draw * 100:.1f} of 100; the canary {trial.deployment} takes those under {trial.share:g}."
    if given.draw * 100 < trial.share:
        return _drawn([tried, *others], given, 0, said)
    return _drawn([*others, tried], given, 0, said)


def _drawn(candidates: Sequence[Candidate], given: Circumstances, arm: int, why: str) -> Order:
    first = candidates[arm]
    rest = [item for item in candidates if item is not first]
    return Order(ordered([first, *rest], given).ranked, first.deployment, why)


def _by_figure(ranked: Sequence[tuple[float, Ranked]]) -> list[Ranked]:
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])]


STRATEGIES: Mapping[str, Strategy] = {
    "ordered": ordered,
    "scored": scored,
    "cheapest": cheapest,
    "fastest_p95": fastest_p95,
    "slo_burn_aware": slo_burn_aware,
    "weighted": weighted,
    "canary": canary,
}
