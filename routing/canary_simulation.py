"""What the tests of a canary are worth: canaries made by chance, run through the real decisions of ``core.canary``.

Outcomes come from a seeded generator, so that a run repeats. Beside them goes the z-test that people read again and
again until it says something: it shows what looking costs without a test that is made for it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np

from routing.core.canary import ALL, Call, Evidence, Rules, decide, next_stage, observe, observe_scores, worse_in
from routing.core.sequential import Contest, with_base, with_candidate

BASE_ERRORS = 0.01
TIMES_WORSE = 5
HORIZON = 2_000  # calls of the candidate that a canary is followed for
FULL_HORIZON, FULL_SHARE = 300, 25  # with every metric: all calls of the base are drawn one by one
SHARE = 1  # percent, the first stage: the base has 99 calls for each of the candidate
GRADES = (0.0, 0.25, 0.5, 0.75, 1.0)  # a judge's, as scores
GOOD, BAD = (0.03, 0.04, 0.12, 0.28, 0.53), (0.1, 0.15, 0.2, 0.27, 0.28)  # how often each: means .81 and .62
USUAL = Rules(tolerance=0.05)
HARDEST = Rules(tolerance=0.0)  # of which an identical candidate is at the very edge
MOST_PAIRS = 600
LOOK_EVERY, Z95 = 10, 1.96  # the z-test is read so often, at 5 % two-sided as is usual

Said = Callable[[int, int], None]  # done, of


@dataclass(frozen=True, slots=True)
class Result:
    canaries: int
    horizon: int
    false_rollback: float  # share of identical candidates that were rolled back at any time
    false_rollback_all_metrics: float  # the same with latency, first token, cost and scores, in fewer canaries
    median_requests_to_catch_5x: float
    p99_requests_to_catch_5x: float
    power_5x: float  # share of candidates that fail five times as often and were caught within the horizon
    median_pairs_to_catch_worse_answers: float  # of scores, .62 beside .81, of which .05 less is allowed
    z_test_false_rollback: float
    z_test_median_requests_to_catch_5x: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def simulate(canaries: int, seed: int, said: Said) -> Result:
    fewer = max(1, canaries // 5)
    chance, total = np.random.default_rng(seed), 2 * canaries + 2 * fewer
    same: list[tuple[int, int]] = []
    worse: list[tuple[int, int]] = []
    done = 0
    for errors, found in ((BASE_ERRORS, same), (TIMES_WORSE * BASE_ERRORS, worse)):
        for _ in range(canaries):
            found.append(_one(chance, errors))
            done += 1
            said(done, total)
    full: list[int] = []
    pairs: list[int] = []
    for run, result in ((_with_every_metric, full), (_with_worse_answers, pairs)):
        for _ in range(fewer):
            result.append(run(chance))
            done += 1
            said(done, total)
    caught, z_caught = np.array([ours for ours, _ in worse]), np.array([z for _, z in worse])
    return Result(
        canaries=canaries,
        horizon=HORIZON,
        false_rollback=_share(ours for ours, _ in same),
        false_rollback_all_metrics=_share(full),
        median_requests_to_catch_5x=float(np.median(caught)),
        p99_requests_to_catch_5x=float(np.quantile(caught, 0.99)),
        power_5x=_share(ours for ours, _ in worse),
        median_pairs_to_catch_worse_answers=float(np.median(pairs)),
        z_test_false_rollback=_share(z for _, z in same),
        z_test_median_requests_to_catch_5x=float(np.median(z_caught)),
    )


def _share(calls: Iterable[int]) -> float:
    found = [one <= HORIZON for one in calls]
    return sum(map(int, found)) / len(found)


def _one(chance: np.random.Generator, errors: float) -> tuple[int, int]:
    """After how many calls of the candidate our tests and the z-test take it back; HORIZON + 1: never."""
    rules, per_call = Rules(), (ALL - SHARE) // SHARE
    base_bad = chance.binomial(per_call, BASE_ERRORS, HORIZON)
    bad = chance.random(HORIZON) < errors
    test, caught = Contest(), HORIZON + 1
    for index in range(HORIZON):
        test = with_base(test, per_call, int(base_bad[index]), usual=BASE_ERRORS)
        peak = test.peak
        test = with_candidate(test, 1, int(bad[index]), usual=BASE_ERRORS)
        if (bad[index] or test.peak > peak) and worse_in(Evidence(errors=test), rules):  # nothing else can decide
            caught = index + 1
            break
    return caught, _z_test(np.cumsum(bad), np.cumsum(base_bad), per_call)


def _z_test(bad: Any, base_bad: Any, per_call: int) -> int:
    """Two proportions with a pooled variance, read every LOOK_EVERY calls."""
    for calls in range(LOOK_EVERY, HORIZON + 1, LOOK_EVERY):
        base = calls * per_call
        k, base_k = int(bad[calls - 1]), int(base_bad[calls - 1])
        pooled = (k + base_k) / (calls + base)
        deviation = sqrt(pooled * (1 - pooled) * (1 / calls + 1 / base))
        if deviation and (k / calls - base_k / base) / deviation > Z95:
            return calls
    return HORIZON + 1


def _with_every_metric(chance: np.random.Generator) -> int:
    """An identical candidate through whole stages: the tests go on, windows begin anew. Each of its answers is scored
    beside one of the base."""
    rules, evidence, calls = HARDEST, Evidence(), 0
    for call in _calls(chance):
        evidence = observe(evidence, call, rules, FULL_SHARE)
        if call.candidate and not call.failed:
            ours, theirs = chance.choice(GRADES, 2, p=GOOD)
            evidence = observe_scores(evidence, float(ours), float(theirs), rules)
        calls += call.candidate
        event = decide(evidence, rules, "running", FULL_SHARE).event
        if event == "worse":
            return calls
        if event == "advance":
            evidence = next_stage(evidence)
    return HORIZON + 1


def _with_worse_answers(chance: np.random.Generator) -> int:
    """After how many pairs of scores the candidate is taken back."""
    draws = (chance.choice(GRADES, MOST_PAIRS, p=parts) for parts in (BAD, GOOD))
    evidence = Evidence()
    for ours, theirs in zip(*draws, strict=True):
        evidence = observe_scores(evidence, float(ours), float(theirs), USUAL)
        if worse_in(evidence, USUAL):
            break
    return evidence.score.pairs


def _calls(chance: np.random.Generator) -> Iterator[Call]:
    total = FULL_HORIZON * ALL // FULL_SHARE
    amounts = np.exp(chance.normal([6.0, 5.0, 6.0], 0.6, (total, 3)))
    candidate, failed = chance.random(total) < FULL_SHARE / ALL, chance.random(total) < BASE_ERRORS
    for index in range(total):
        if failed[index]:
            yield Call(bool(candidate[index]), True)
        else:
            latency, ttft, cost = map(float, amounts[index])
            yield Call(bool(candidate[index]), False, latency, ttft, cost)
