"""Many requests under two versions of a policy: what moves, what that should cost and take, and the verdict."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from evals.core.bootstrap_pairs import Interval, Statistic, difference, interval, mean, p95, relative
from evals.core.replay_cases import NAMES, REFUSED, Case

NO_OTHERS: Mapping[str, float] = {}
SEED = 20_261_121  # any: the same requests always give the same intervals
ENOUGH = 30  # pairs; fewer prove nothing of costs and latencies
MOST_CHANGED = 10
MOVES = ("lane", "provider", "first", "bucket", "cache", "tier")
WORSE, UNDECIDED, BETTER, SAME = "worse", "undecided", "better", "same"
PASS, FAIL, OPEN = "pass", "fail", "open"


class Measure(NamedTuple):
    """``bound``: how much the change may be, in ``unit``; None: nothing is demanded. ``value``: of one side of a case;
    pairs with a None are left out. ``good``: -1 if less is better, 1 if more is."""

    name: str
    label: str
    value: Callable[[Any], float | None]
    statistic: Statistic
    compare: Callable[[Any, Any], Any]
    unit: str
    bound: float | None = None
    good: int = -1


def _measured(statistic: Callable[[Any], float | None]) -> Callable[[Any], float | None]:
    return lambda side: None if side.refused else statistic(side.guess)


MEASURES = (
    Measure("p95", "p95 latency", _measured(lambda guess: guess.latency_ms), p95, relative, "%", 10.0),
    Measure("cost", "Cost of a request", _measured(lambda guess: guess.cost_microusd), mean, relative, "%", 5.0),
    Measure("refused", "Refused", lambda side: float(side.refused), mean, difference, "points", 0.0),
    Measure("hits", "Answered from the cache", lambda side: float(side.guess.hit), mean, difference, "points", good=1),
)


def report(cases: Sequence[Case], bounds: Mapping[str, float] = NO_OTHERS) -> dict[str, Any]:
    """JSON: {sample, identical, verdict, why, measures, moves, most_changed, assumed}. Infinite values are None.
    ``bounds``: other ones than MEASURES has, by the measure's name."""
    wanted = [one._replace(bound=bounds.get(one.name, one.bound)) for one in MEASURES]
    measures = [told for one in wanted if (told := _measure(one, cases)) is not None]
    verdict, why = verdict_of(measures, len(cases))
    changed = sorted((case for case in cases if case.distance), key=lambda case: -case.distance)
    return {
        "sample": len(cases),
        "identical": sum(not case.plans_differ for case in cases),
        "verdict": verdict,
        "why": why,
        "measures": measures,
        "moves": [_moves(name, cases) for name in MOVES],
        "most_changed": [_told(case) for case in changed[:MOST_CHANGED]],
        "assumed": sorted(
            {side.told["first"] for case in cases for side in (case.old, case.new) if side.guess.assumed}
        ),
    }


def verdict_of(measures: Sequence[dict[str, Any]], sample: int) -> tuple[str, str]:
    """And why, in a sentence. A failed rule makes it worse, whatever else; where the data decide nothing it is
    undecided, which does not keep a version from going live."""
    if not sample:
        return UNDECIDED, "There is nothing to replay yet: no request that this policy planned is recorded."
    failed = [one for one in measures if one["state"] == FAIL]
    if failed:
        return WORSE, " ".join(_why_not(one) for one in failed)
    if len([one for one in measures if one["name"] in ("p95", "cost")]) < 2 or sample < ENOUGH:
        return UNDECIDED, f"{sample} of at least {ENOUGH} requests that costs and latencies can be predicted for."
    if still_open := [one["label"] for one in measures if one["state"] == OPEN]:
        return UNDECIDED, f"{' and '.join(still_open)}: the interval lies on both sides of what is allowed."
    better = [one for one in measures if one["name"] != "hits" and one["high"] is not None and one["high"] < 0]
    if better:
        return BETTER, f"{' and '.join(one['label'] for one in better)}: lower, and nothing is worse than allowed."
    return SAME, "Nothing is worse than allowed, and nothing is surely better."


def _measure(measure: Measure, cases: Sequence[Case]) -> dict[str, Any] | None:
    both = [(measure.value(case.old), measure.value(case.new)) for case in cases]
    known = [pair for pair in both if None not in pair]
    if not known:
        return None
    pairs = np.array(known, dtype=float)
    found = interval(pairs, measure.statistic, measure.compare, SEED)
    old, new = (float(measure.statistic(pairs[:, side])) for side in (0, 1))
    return {
        "name": measure.name,
        "label": measure.label,
        "pairs": len(known),
        "old": old,
        "new": new,
        "unit": measure.unit,
        **{name: value if isfinite(value) else None for name, value in found._asdict().items()},
        "bound": measure.bound,
        "state": _state(measure, found, len(known)),
    }


def _state(measure: Measure, found: Interval, pairs: int) -> str:
    """A refusal is a fact and needs no sample; costs and latencies are estimates."""
    if measure.bound is None:
        return PASS
    if measure.name == REFUSED:
        return FAIL if found.change > measure.bound else PASS
    if pairs < ENOUGH or found.low <= measure.bound < found.high:
        return OPEN
    return FAIL if found.low > measure.bound else PASS


def _why_not(told: dict[str, Any]) -> str:
    if told["name"] == REFUSED:
        return f"More requests are refused: {told['old'] * 100:.3g} % → {told['new'] * 100:.3g} %."
    if told["change"] is None:
        return f"{told['label']} is no longer 0."
    least = "" if told["low"] is None else f", surely at least {told['low']:+.1f} %"
    return f"{told['label']} {told['change']:+.1f} %{least}; {told['bound']:+g} % is allowed."


def _moves(name: str, cases: Sequence[Case]) -> dict[str, Any]:
    """How often what became what; those that stay are told last."""
    counts = Counter((case.old.told[name], case.new.told[name]) for case in cases)
    rows = sorted(counts.items(), key=lambda item: (item[0][0] == item[0][1], -item[1], item[0]))
    return {
        "what": NAMES[name],
        "changed": sum(count for (old, new), count in counts.items() if old != new),
        "rows": [{"old": old, "new": new, "count": count, "same": old == new} for (old, new), count in rows],
    }


def _told(case: Case) -> dict[str, Any]:
    return {
        "tenant": case.tenant,
        "trace": case.trace,
        "route": case.route,
        "distance": round(case.distance, 2),
        "changes": case.in_words(),
    }
