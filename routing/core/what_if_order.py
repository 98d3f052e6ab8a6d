"""The smallest change that would have put another candidate first, in sentences. Names stand between backticks.

For points see ``what_if``. A draw is told by the part of the line from 0 to 1 that would have chosen another.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import orjson

from routing.core.evidence import NOTHING_KNOWN
from routing.core.plan import ExecutionPlan
from routing.core.recording import Decision
from routing.core.scoring import latency_of
from routing.core.verdicts import Verdict
from routing.core.what_if_words import sentences
from traces.core.formats import duration, money


def what_would_flip(decision: Decision, plan: ExecutionPlan) -> list[str]:
    """One sentence for each candidate that a single change would have put first, the smallest change first where they
    can be compared. Nothing is said of burn rates and of candidates that are tried last for now, but by points."""
    placed = [one for one in plan.candidates if one.position]
    usable = [one for one in placed if one.within_limits]
    if len(usable) < 2 or usable[0] is not placed[0]:
        return []
    trial = decision.features.trial
    if trial is not None and trial.deployment in {one.candidate.deployment for one in usable}:
        bound, tried = f"{trial.share / 100:.2f}", trial.candidate
        other, where = ("The base", f"from {bound} on") if tried else (_name(trial.deployment), f"below {bound}")
        return [f"{other} would have been first with a draw {where} (was {trial.draw:.3f})."]
    shares, draw = _line(decision, plan)
    if shares:
        return list(_by_draw(shares, draw, usable))
    if plan.strategy == "scored":
        return sentences(orjson.loads(orjson.dumps(plan.as_json())))
    return _by_figure(decision, plan, usable)


def _line(decision: Decision, plan: ExecutionPlan) -> tuple[Mapping[str, int], float]:
    """Who has which share of the line that is drawn from, and the draw; nobody where chance does not decide."""
    split, settings = decision.features.split, plan.settings
    if split is not None:
        return split.shares, split.draw
    if plan.strategy != "weighted":
        return {}, 0.0
    placed = {one.candidate.deployment: one.candidate.share or 0 for one in plan.candidates if one.position}
    order = settings.candidates or [item.deployment for item in decision.lineup.candidates]
    shares = {name: placed[name] for name in order if name in placed}
    return shares if any(shares.values()) else dict.fromkeys(shares, 1), decision.around.draw


def _by_draw(shares: Mapping[str, int], draw: float, usable: Sequence[Verdict]) -> Iterator[str]:
    names = {one.candidate.deployment for one in usable[1:]}
    whole, begun = sum(shares.values()), 0
    for name, share in shares.items():
        low, high = begun / whole, (begun + share) / whole
        begun += share
        if share and name in names:
            yield f"{_name(name)} would have been first with a draw from {low:.2f} to {high:.2f} (was {draw:.3f})."


def _by_figure(decision: Decision, plan: ExecutionPlan, usable: Sequence[Verdict]) -> list[str]:
    had = HAD.get(plan.strategy)
    if had is None:
        first = _name(usable[0].candidate.deployment)
        return [f"{_would(one)} had it stood before {first} in the order." for one in usable[1:]]
    words, show, figure = had
    least = figure(usable[0], decision)
    others = sorted(((figure(one, decision), one) for one in usable[1:]), key=lambda pair: pair[0])
    return [f"{_would(one)} had it {words} less than {show(least)} (was {show(value)})." for value, one in others]


def _cost(one: Verdict, decision: Decision) -> float:
    return float(one.est_cost_microusd)


def _latency(one: Verdict, decision: Decision) -> float:
    return latency_of(one.candidate, decision.evidence.get(one.candidate.circuit, NOTHING_KNOWN))[0]


Figure = Callable[[Verdict, Decision], float]
HAD: Mapping[str, tuple[str, Callable[[float | None], str], Figure]] = {
    "cheapest": ("cost", money, _cost),
    "fastest_p95": ("taken", duration, _latency),
}


def _would(one: Verdict) -> str:
    return f"{_name(one.candidate.deployment)} would have been first"


def _name(deployment: str) -> str:
    return f"`{deployment}`"
