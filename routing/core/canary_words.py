"""What is known of a canary, as figures for a record and as sentences for people."""

from math import exp
from typing import Any

from routing.core.canary import ALL, QUANTILES, Decision, Evidence, Rules, bar_of, rate
from routing.core.exceeding import Exceeding
from routing.core.paired import interval
from traces.core.formats import duration, money

MOST_E = 1e9  # an e-value above that says nothing more
NAMES = {
    "errors": "errors",
    "errors_alone": "errors at 100 %",
    "latency": "latency",
    "ttft": "time to first token",
    "cost": "cost",
    "score": "score",
}
WORSE = {"latency": "slower", "ttft": "slower to the first token", "cost": "dearer"}


def figures(evidence: Evidence, rules: Rules) -> dict[str, Any]:
    """Both arms, and each metric's e-value beside the bar at which it decides."""
    return {
        "base": _arm(evidence.errors.reference),
        "candidate": _arm(_candidate(evidence)),
        "stage": _arm(evidence.stage),
        "window": rules.window,
        "budget": rules.budget,
        "metrics": [
            {
                "metric": name,
                "name": NAMES[name],
                "e": round(_bounded(log_e), 3),
                "peak": round(_bounded(evidence.peak_of(name)), 3),
                "bar": round(exp(bar_of(name, evidence, rules)), 1),
            }
            for name, log_e in evidence.log_es().items()
            if name in rules.metrics
        ],
        **({} if rules.tolerance is None else {"score": _scores(evidence, rules.tolerance)}),
    }


def _scores(evidence: Evidence, tolerance: float) -> dict[str, Any]:
    """Means of both arms, from 0 to 1, and the mean gap (base less candidate) with its 95 % interval, which holds
    whenever it is read. None: no pair has been scored."""
    test = evidence.score
    told: dict[str, Any] = {"pairs": test.pairs, "stage_pairs": evidence.stage_pairs, "tolerance": tolerance}
    if not test.pairs:
        return {**told, "candidate": None, "base": None, "gap": None, "low": None, "high": None}
    (candidate, base), (low, high) = test.means, interval(test)
    found = {"candidate": candidate, "base": base, "gap": base - candidate, "low": low, "high": high}
    return {**told, **{name: round(value, 4) for name, value in found.items()}}


def _candidate(evidence: Evidence) -> tuple[int, int]:
    """Beside the base and alone."""
    (calls, failed), (alone, alone_failed) = evidence.errors.candidate, evidence.errors_alone.candidate
    return calls + alone, failed + alone_failed


def _arm(arm: tuple[int, int]) -> dict[str, Any]:
    return {"calls": arm[0], "failed": arm[1], "rate": round(rate(arm), 6) if arm[0] else None}


def _bounded(log_e: float) -> float:
    return min(exp(min(log_e, 50.0)), MOST_E)


def sentence(decision: Decision, evidence: Evidence, rules: Rules, share: int) -> str:
    """Why, with the numbers."""
    calls, failed = evidence.stage
    base = f"{rate(evidence.errors.reference):.1%}"
    seen, proof = f"{calls:,} calls in this stage, {failed:,} failed", _proof(decision.metric, evidence, rules)
    if decision.reason == "worse":
        return f"{_worse(decision.metric, evidence, rules)} {proof}"
    if decision.reason == "paused":
        return f"Paused by hand at {share} %. It is still taken back when it is proven worse."
    if decision.reason == "window":
        return f"The stage needs {rules.window:,} calls of the candidate; it has {calls:,}."
    if decision.reason == "scores":
        return f"The stage needs {rules.least_pairs:,} pairs of scored answers; it has {evidence.stage_pairs:,}."
    if decision.reason == "budget":
        return (
            f"{seen} ({rate(evidence.stage):.1%}): over {rules.budget:.1%}, which is {rules.burn_multiplier:g} times"
            f" the error budget, though not proven worse than the base ({base})."
        )
    if decision.reason == "close":
        return f"{seen}. Not proven worse in {NAMES[decision.metric]}, but not far from it: {proof}"
    if decision.reason == "no_base":
        return f"{seen}, but the base had too few calls to compare with."
    after = "The candidate takes over" if share == ALL else "Nothing speaks against it"
    return f"{seen}; the base failed {base}. {after}."


def _worse(metric: str, evidence: Evidence, rules: Rules) -> str:
    if metric == "errors":
        errors = evidence.errors
        over = f", over the budget of {rules.budget:.1%}" if rate(errors.candidate) > rules.budget else ""
        return f"It fails more often than the base: {_share(errors.candidate)}{over}; base {_share(errors.reference)}."
    if metric == "errors_alone":
        return f"At 100 % it failed {_share(evidence.errors_alone.candidate)}, more often than it may."
    if metric == "score":
        told = _scores(evidence, rules.tolerance or 0.0)
        return (
            f"It answers worse: score {told['candidate']:.2f} against the base's {told['base']:.2f} in"
            f" {told['pairs']:,} pairs, {told['gap']:.2f} less ({told['low']:.2f} to {told['high']:.2f} with 95 %);"
            f" {told['tolerance']:g} is allowed."
        )
    quantile, state = _decisive(metric, evidence)
    level = exp(state.level)
    mark = f"{quantile:.0%} mark (about {money(round(level)) if metric == 'cost' else duration(level)}"
    above = f"{_share(state.test.candidate)} of its calls lie above the base's {mark}, and a margin)"
    return f"It is {WORSE[metric]}: {above}, of the base's {_share(state.test.reference)}."


def _decisive(metric: str, evidence: Evidence) -> tuple[float, Exceeding]:
    pairs = zip(QUANTILES[metric], evidence.amounts[metric], strict=True)
    return max(pairs, key=lambda pair: pair[1].test.peak)


def _share(arm: tuple[int, int]) -> str:
    return f"{arm[1]:,} of {arm[0]:,} ({rate(arm):.1%})"


def _proof(metric: str, evidence: Evidence, rules: Rules) -> str:
    if not metric:
        return ""
    peak, bar = _bounded(evidence.peak_of(metric)), exp(bar_of(metric, evidence, rules))
    return f"e-value {peak:,.0f}, decisive from {bar:,.0f}."
