"""One request under two versions of a policy: what differs, and how much."""

from math import log2
from typing import NamedTuple

from evals.core.prediction import Latencies, Predicted, Seen, predicted
from routing.core.replay import Outcome
from traces.core.formats import duration, money

REFUSED = "refused"
# How far two decisions are apart: points for each thing that changes, and one for each doubling of predicted cost and
# of latency, three at most. Requests that change most are shown first.
APART = {
    REFUSED: 16.0,
    "provider": 4.0,
    "first": 4.0,
    "cache": 4.0,
    "lane": 2.0,
    "tier": 1.0,
    "bucket": 1.0,
    "max_tokens": 1.0,
}
MOST_DOUBLINGS = 3.0
NAMES = {
    REFUSED: "Outcome",
    "provider": "Provider",
    "first": "First candidate",
    "cache": "Cache",
    "lane": "Lane",
    "tier": "Tier",
    "bucket": "Bucket",
    "max_tokens": "max_tokens",
}


class Side(NamedTuple):
    """``told``: a word for each name of APART."""

    told: dict[str, str]
    guess: Predicted
    refused: bool


class Case(NamedTuple):
    """``plans_differ``: anything at all in the plan, also its reasons and later candidates."""

    tenant: str
    trace: str
    route: str
    old: Side
    new: Side
    plans_differ: bool

    @property
    def changed(self) -> list[str]:
        """Names of APART."""
        return [name for name in APART if self.old.told[name] != self.new.told[name]]

    @property
    def distance(self) -> float:
        old, new = self.old.guess, self.new.guess
        figures = _doublings(old.cost_microusd, new.cost_microusd) + _doublings(old.latency_ms, new.latency_ms)
        return sum(APART[name] for name in self.changed) + figures

    def in_words(self) -> list[str]:
        words = [f"{NAMES[name]}: {self.old.told[name]} → {self.new.told[name]}" for name in self.changed]
        old, new = self.old.guess, self.new.guess
        if _doublings(old.cost_microusd, new.cost_microusd):
            words.append(f"Cost: {money(old.cost_microusd)} → {money(new.cost_microusd)}")
        if _doublings(old.latency_ms, new.latency_ms):
            words.append(f"Latency: {duration(old.latency_ms)} → {duration(new.latency_ms)}")
        return words


def side_of(outcome: Outcome, seen: Seen, latencies: Latencies) -> Side:
    plan, first = outcome.plan, outcome.first
    guess = predicted(outcome, seen, latencies)
    if plan is None or first is None:
        told = dict.fromkeys(APART, REFUSED) | {REFUSED: outcome.refused or "nobody can answer it"}
        return Side(told, guess, refused=True)
    told = {
        REFUSED: "answered",
        "provider": first.provider,
        "first": first.deployment,
        "cache": cache_in_words(plan.cache.exact, plan.cache.semantic, plan.cache.threshold),
        "lane": plan.lane,
        "tier": plan.tier,
        "bucket": plan.bucket,
        "max_tokens": f"{plan.max_tokens:,}",
    }
    return Side(told, guess, refused=False)


def cache_in_words(exact: bool, semantic: bool, threshold: float) -> str:
    kinds = ["exact"] if exact else []
    return " and ".join([*kinds, f"semantic from {threshold:g}"] if semantic else kinds) or "off"


def _doublings(old: float | None, new: float | None) -> float:
    """0 to MOST_DOUBLINGS; 0 where one is not known."""
    if old is None or new is None or old == new:
        return 0.0
    if min(old, new) <= 0:
        return MOST_DOUBLINGS
    return min(abs(log2(new / old)), MOST_DOUBLINGS)
