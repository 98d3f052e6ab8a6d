"""A candidate that takes a growing share of a route: its states, what is known of it, and what follows from that.

The states are a table, drawn in ARCHITECTURE.md. The decisions:

- **roll back** when a test of ``sequential`` has shown the candidate to be worse, in any metric. The chances of being
  wrong add up to 1 % over the whole life of a canary (ALPHAS). Failures have two bars, on one and the same fortune, so
  that only the lower counts: a candidate whose error rate is over the burn multiplier x the error budget (1 - SLO)
  needs less proof. That rule alone would roll back every candidate of a route that fails as often itself. Where answers
  are scored, the test of scores (``paired``) takes its part of the 1 % from that lower bar.
- **advance** when the stage has seen a window of calls, and as many pairs of scores as it needs (usually none), and
  nothing speaks against it: the error rate of the stage is within the budget, no test is close to its bar, and there
  was a base to compare with.
- **hold** when the window is full and something does. A canary that holds goes on to watch and may still do either.
  One that a person paused keeps its share until that person lets it go on; only being worse takes it back.

At 100 % there is no base any more. Failures are then held against a fixed rate: the budget times the multiplier, or
twice what the base failed, if that is more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import log
from typing import Literal, NamedTuple
from uuid import UUID

from routing.core.exceeding import Exceeding, base_amount, candidate_amount, log_amount
from routing.core.paired import NO_PAIRS, Paired, with_pair
from routing.core.sequential import NOTHING_SEEN, Contest, alone, with_base, with_candidate

State = Literal["running", "held", "paused", "rolled_back", "done"]
Event = Literal["advance", "finish", "hold", "pause", "resume", "worse", "gone", "stop"]

TABLE: dict[tuple[State, Event], State] = {
    ("running", "advance"): "running",
    ("running", "finish"): "done",
    ("running", "hold"): "held",
    ("running", "pause"): "paused",  # a person holds it; it is still taken back when it is worse
    ("running", "worse"): "rolled_back",
    ("running", "gone"): "rolled_back",  # the candidate was deleted or switched off
    ("running", "stop"): "rolled_back",  # a person took it back
    ("held", "advance"): "running",
    ("held", "finish"): "done",
    ("held", "pause"): "paused",
    ("held", "worse"): "rolled_back",
    ("held", "gone"): "rolled_back",
    ("held", "stop"): "rolled_back",
    ("paused", "resume"): "running",
    ("paused", "advance"): "running",  # by hand only
    ("paused", "finish"): "done",
    ("paused", "worse"): "rolled_back",
    ("paused", "gone"): "rolled_back",
    ("paused", "stop"): "rolled_back",
}
LIVE: tuple[State, ...] = ("running", "held", "paused")

ALL = 100  # percent
OVER_BUDGET = 0.006
ALPHAS: Mapping[str, float] = {
    "errors": 0.002,
    "errors_alone": 0.001,
    "latency": 0.001,
    "ttft": 0.001,
    "cost": 0.001,
}  # with OVER_BUDGET in the place of errors, whose event it contains: 1 % in all
SCORE = 0.002  # where answers are scored; OVER_BUDGET is less by as much
SUSPICIOUS = log(10)  # nothing advances while a fortune is that large
LEAST_BASE = 30  # calls to compare with
USUAL_ERRORS = 0.01
LEAST_FAILURES = 5  # taken as the base's if it had fewer, where its rate becomes a limit
QUANTILES: Mapping[str, tuple[float, ...]] = {"latency": (0.5, 0.95), "ttft": (0.5, 0.95), "cost": (0.5,)}
MARGINS: Mapping[str, float] = {"latency": 1.1, "ttft": 1.1, "cost": 1.05}


class Call(NamedTuple):
    """One observed call. Milliseconds and micro-dollars; None: not known, or it failed. ``trace``: where its answer can
    be read; None: there is none, or its words are not kept."""

    candidate: bool
    failed: bool
    latency: float | None = None
    ttft: float | None = None
    cost: float | None = None
    trace: UUID | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """``stages`` in percent, rising, the last one 100. ``window``: calls of the candidate that a stage needs.

    ``tolerance``: by how much its answers may score worse on average; None: they are not scored. ``least_pairs``: pairs
    of scores that a stage with a base needs.
    """

    stages: tuple[int, ...] = (1, 5, 25, ALL)
    window: int = 200
    burn_multiplier: float = 2.0
    slo: float = 0.99
    tolerance: float | None = None
    least_pairs: int = 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that are tested."""
        return tuple(ALPHAS) if self.tolerance is None else (*ALPHAS, "score")

    @property
    def budget(self) -> float:
        """The error rate from which on a candidate needs less proof to be taken back."""
        return min(self.burn_multiplier * (1 - self.slo), 1.0)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything known of a canary. ``amounts``: one test for each quantile of each metric, by name."""

    errors: Contest = NOTHING_SEEN
    errors_alone: Contest = NOTHING_SEEN
    amounts: Mapping[str, tuple[Exceeding, ...]] = field(
        default_factory=lambda: {name: (Exceeding(),) * len(quantiles) for name, quantiles in QUANTILES.items()}
    )
    stage_calls: int = 0  # of the candidate, in this stage
    stage_failed: int = 0
    score: Paired = NO_PAIRS
    stage_pairs: int = 0

    @property
    def stage(self) -> tuple[int, int]:
        return self.stage_calls, self.stage_failed

    def log_es(self) -> dict[str, float]:
        """The present evidence of each metric."""
        return {
            "errors": self.errors.log_e,
            "errors_alone": self.errors_alone.log_e,
            **{name: max(one.test.log_e for one in tests) for name, tests in self.amounts.items()},
            "score": self.score.log_e,
        }

    def peak_of(self, metric: str) -> float:
        if metric == "errors":
            return self.errors.peak
        if metric == "errors_alone":
            return self.errors_alone.peak
        if metric == "score":
            return self.score.peak
        return max(one.test.peak for one in self.amounts[metric])


class Decision(NamedTuple):
    """``event`` None: go on. ``metric`` is what decided, where one did."""

    event: Event | None
    reason: str
    metric: str = ""


def observe(evidence: Evidence, call: Call, rules: Rules, share: int) -> Evidence:
    """``share``: percent that the candidate takes now."""
    amounts = dict(evidence.amounts)
    for name, quantiles in QUANTILES.items():
        amount = getattr(call, name)
        if amount is not None:
            pairs = zip(evidence.amounts[name], quantiles, strict=True)
            log_of_it, candidate = log_amount(amount), call.candidate
            amounts[name] = tuple([_seen(one, log_of_it, candidate, name, quantile) for one, quantile in pairs])
    if not call.candidate:
        errors = with_base(evidence.errors, 1, call.failed, usual=USUAL_ERRORS)
        return replace(evidence, errors=errors, amounts=amounts)
    errors, lone = evidence.errors, evidence.errors_alone
    if share == ALL:
        lone = alone(lone, 1, call.failed, limit=limit_alone(errors, rules))
    else:
        errors = with_candidate(errors, 1, call.failed, usual=USUAL_ERRORS)
    calls, bad = evidence.stage_calls + 1, evidence.stage_failed + call.failed
    return replace(evidence, errors=errors, errors_alone=lone, amounts=amounts, stage_calls=calls, stage_failed=bad)


def observe_scores(evidence: Evidence, candidate: float, base: float, rules: Rules) -> Evidence:
    """Of a pair of answers, where they are scored."""
    tolerance = rules.tolerance or 0.0
    test = with_pair(evidence.score, candidate, base, tolerance=tolerance)
    return replace(evidence, score=test, stage_pairs=evidence.stage_pairs + 1)


def _seen(state: Exceeding, amount: float, candidate: bool, metric: str, quantile: float) -> Exceeding:
    if candidate:
        return candidate_amount(state, amount, quantile=quantile, margin=MARGINS[metric])
    return base_amount(state, amount, quantile=quantile)


def limit_alone(errors: Contest, rules: Rules) -> float:
    """The error rate that a candidate without a base beside it may have."""
    base, failed = errors.reference
    usual = 2 * max(failed, LEAST_FAILURES) / base if base >= LEAST_BASE else 0.0
    return min(max(rules.budget, usual, 1e-6), 0.5)


def rate(arm: tuple[int, int]) -> float:
    """Of calls and bad ones; 0 without calls."""
    calls, bad = arm
    return bad / calls if calls else 0.0


def next_stage(evidence: Evidence) -> Evidence:
    """The tests go on; the window begins anew."""
    return replace(evidence, stage_calls=0, stage_failed=0, stage_pairs=0)


def bar_of(metric: str, evidence: Evidence, rules: Rules) -> float:
    """The logarithm of the fortune from which on the metric is shown to be worse.

    A metric of several quantiles shares its part of the 1 % between them.
    """
    if metric == "score":
        return -log(SCORE)
    if metric == "errors" and rate(evidence.errors.candidate) > rules.budget:
        return -log(OVER_BUDGET if rules.tolerance is None else OVER_BUDGET - SCORE)
    return -log(ALPHAS[metric] / len(QUANTILES.get(metric, (0,))))


def worse_in(evidence: Evidence, rules: Rules) -> str:
    """The first metric in which the candidate is shown to be worse; empty if there is none."""
    return next((one for one in rules.metrics if evidence.peak_of(one) >= bar_of(one, evidence, rules)), "")


def decide(evidence: Evidence, rules: Rules, state: State, share: int) -> Decision:
    worse = worse_in(evidence, rules)
    if worse:
        return Decision("worse", "worse", worse)
    if state == "paused":
        return Decision(None, "paused")
    if evidence.stage_calls < rules.window:
        return Decision(None, "window")
    if share < ALL and evidence.stage_pairs < rules.least_pairs:
        return Decision(None, "scores")
    against = _against(evidence, rules, share)
    if against is not None:
        return against if state == "running" else against._replace(event=None)
    return Decision("finish" if share == ALL else "advance", "passed")


def _against(evidence: Evidence, rules: Rules, share: int) -> Decision | None:
    """What keeps a stage with a full window from being left."""
    if rate(evidence.stage) > rules.budget:
        return Decision("hold", "budget", "errors")
    close = next((name for name, log_e in evidence.log_es().items() if log_e >= SUSPICIOUS), "")
    if close:
        return Decision("hold", "close", close)
    if share < ALL and evidence.errors.reference[0] < LEAST_BASE:
        return Decision("hold", "no_base")
    return None
