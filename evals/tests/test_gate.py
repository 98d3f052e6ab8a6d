"""Gates decide by evidence: planted regressions fail, what is unchanged never does, and little evidence is said to be
little. Latencies here have a heavy tail (Student's t, 3 degrees of freedom, about 20 % between calls of one prompt) and
prompts of very different length."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.core.gate import Decision, Rule, decide, verdict_of
from evals.core.gate_words import rows_of, sentence
from evals.core.metrics import Answered

TYPICAL = Rule("p50_latency", "at_most", "change", 5)
P95 = Rule("p95_latency", "at_most", "change", 10)
COST = Rule("cost", "at_most", "change", 5)
ERRORS = Rule("error_rate", "at_most", "difference", 0.02)
REFUSALS = Rule("refusal_rate", "at_most", "difference", 0.02)
QUALITY = Rule("score:exact", "at_least", "difference", -0.05)
WRONG = Rule("wrong_hits", "at_most", "value", 0.02)
RULES = (TYPICAL, P95, COST, ERRORS, REFUSALS, QUALITY, WRONG)


def run(
    seed: int, items: int, *, repetitions: int = 1, slower: float = 1.0, right: float = 0.8, fails: float = 0.0
) -> list[Answered]:
    """The prompts are the same whatever the seed; only the luck of their answers differs."""
    prompts, luck = np.random.default_rng(0), np.random.default_rng(seed)
    typical, hard = np.exp(prompts.normal(6, 0.6, items)), prompts.random(items)
    made = []
    for item in range(items):
        for repetition in range(repetitions):
            latency = typical[item] * slower * np.exp(luck.standard_t(3) * 0.12)
            failed = luck.random() < fails
            score = float(hard[item] < right) if luck.random() < 0.95 else float(luck.random() < right)
            made.append(
                Answered(
                    item=item,
                    repetition=repetition,
                    outcome="failed" if failed else "ok",
                    latency_ms=float(latency),
                    ttft_ms=float(latency) / 3,
                    tokens_in=20,
                    tokens_out=100,
                    cost_microusd=0 if failed else 300 + int(prompts.integers(50)),
                    cache="miss",
                    scores={} if failed else {"exact": score},
                )
            )
    return made


def verdicts(decision: Decision) -> dict[str, str]:
    return {finding.rule.metric: finding.verdict for finding in decision.findings}


def test_twenty_runs_of_the_unchanged_policy_never_fail() -> None:
    baseline = run(1, 200)
    decisions = [decide(RULES, baseline, run(seed, 200)) for seed in range(2, 22)]
    assert {decision.verdict for decision in decisions} <= {"pass", "undecided"}
    assert sum(verdicts(decision)["p50_latency"] == "pass" for decision in decisions) >= 12
    assert all(verdicts(decision)["cost"] == "pass" for decision in decisions)


def test_small_runs_of_the_unchanged_policy_do_not_fail_by_luck() -> None:
    baseline = run(1, 30)
    assert all(decide(RULES, baseline, run(seed, 30)).verdict == "undecided" for seed in range(2, 22))


@pytest.mark.parametrize("seed", range(2, 7))
def test_a_planted_latency_of_ten_percent_fails(seed: int) -> None:
    decision = decide(RULES, run(1, 600), run(seed, 600, slower=1.1))
    assert verdicts(decision)["p50_latency"] == "fail" and decision.verdict == "fail"
    assert sentence(decision).startswith("Fail. Worse than allowed: Latency p50 +")


@pytest.mark.parametrize("seed", range(2, 5))
def test_a_planted_loss_of_quality_fails(seed: int) -> None:
    decision = decide(RULES, run(1, 300), run(seed, 300, right=0.6))
    assert verdicts(decision)["score:exact"] == "fail"


def test_planted_errors_fail() -> None:
    decision = decide(RULES, run(1, 300), run(2, 300, fails=0.1))
    assert verdicts(decision)["error_rate"] == "fail"


def test_no_event_in_few_calls_is_no_proof() -> None:
    assert decide([ERRORS], run(1, 60), run(2, 60)).verdict == "undecided"
    assert decide([ERRORS], run(1, 300), run(2, 300)).verdict == "pass"


def test_a_percentile_needs_a_sample_that_reaches_it() -> None:
    decision = decide([Rule("p95_latency", "at_most", "change", 10, min_pairs=2)], run(1, 90), run(2, 90, slower=3))
    (row,) = rows_of(decision)
    assert decision.verdict == "undecided" and row.why == "90 pairs; this rule needs 100."
    assert decide([P95], run(1, 300), run(2, 300, slower=2)).verdict == "fail"


def test_repetitions_of_a_few_prompts_are_a_few_prompts() -> None:
    few = decide([COST], run(1, 5, repetitions=40), run(2, 5, repetitions=40))
    assert rows_of(few)[0].why == "Only 5 different prompts; at least 10 are needed."
    once = decide([TYPICAL], run(1, 30), run(2, 30)).findings[0].interval
    often = decide([TYPICAL], run(1, 30, repetitions=20), run(2, 30, repetitions=20)).findings[0].interval
    assert once and often and often.high - often.low < once.high - once.low


def test_what_would_decide_is_estimated() -> None:
    (row,) = rows_of(decide([TYPICAL], run(1, 60), run(2, 60)))
    assert row.verdict == "undecided" and "would decide" in row.why
    more = decide([TYPICAL], run(1, 60), run(2, 60)).findings[0].more
    assert more and 30 < more < 2_000


def test_a_rule_about_the_candidate_alone_needs_no_baseline() -> None:
    rule = Rule("p95_latency", "at_most", "value", 5_000)
    decision = decide([rule], [], run(2, 300))
    assert decision.verdict == "pass" and rows_of(decision)[0].baseline_text == "–"
    assert decide([Rule("cost", "at_most", "value", 100)], [], run(2, 300)).verdict == "fail"


def test_without_pairs_nothing_is_decided() -> None:
    decision = decide([COST, QUALITY, WRONG], run(1, 50), [])
    assert decision.verdict == "undecided"
    said = [row.why for row in rows_of(decision)]
    assert said[0] == "No pair of answers has a value for it."
    assert said[1] == "No answer has this score: run both with the scorer exact."


def test_cache_hits_that_nobody_compared_are_no_right_hits() -> None:
    candidate = [one._replace(cache="semantic") if one.item < 150 else one for one in run(2, 300)]
    decision = decide([WRONG], run(1, 300), candidate)
    assert rows_of(decision)[0].why == "Cache hits were not compared with anything: run with the scorer similarity."
    compared = [one._replace(scores={"similarity": 0.4 if one.item < 30 else 1.0}) for one in candidate]
    assert decide([WRONG], run(1, 300), compared).verdict == "fail"
    assert decide([WRONG], run(1, 300), run(2, 300)).verdict == "pass"


def test_a_change_from_nothing_is_beyond_every_bound() -> None:
    free = [one._replace(cost_microusd=0) for one in run(1, 50)]
    decision = decide([COST], free, run(2, 50))
    assert decision.verdict == "fail"
    (row,) = rows_of(decision)
    assert row.change is None and row.why.startswith("The baseline’s is 0 and the candidate’s is not")
    assert decide([COST], free, free).verdict == "pass"


def test_a_verdict_is_told_in_a_sentence() -> None:
    same = run(1, 50)
    assert sentence(decide([COST], same, same)) == "Pass. The rule holds."
    assert sentence(decide([COST, P95], same, same)).startswith("Not enough evidence for 1 of 2 rules: Latency p95 ±0%")
    assert sentence(decide([COST, Rule("tokens_out", "at_most", "change", 5)], same, same)) == "Pass. All 2 rules hold."
    assert sentence(decide([], same, same)) == "Not enough evidence: the gate has no rules."


def test_a_verdict_is_the_worst_of_its_rules() -> None:
    assert verdict_of(["pass", "undecided", "fail"]) == "fail"
    assert verdict_of(["pass", "undecided"]) == "undecided"
    assert verdict_of(["pass"]) == "pass"
    assert verdict_of([]) == "undecided"


def test_the_same_results_give_the_same_decision() -> None:
    assert decide(RULES, run(1, 120), run(2, 120)) == decide(RULES, run(1, 120), run(2, 120))


WITH_DIRECTIONS: list[tuple[Rule, Callable[[float], Rule]]] = [
    (P95, lambda bound: Rule("p95_latency", "at_most", "change", bound)),
    (QUALITY, lambda bound: Rule("score:exact", "at_least", "difference", -bound / 100)),
]


@pytest.mark.parametrize("rule", WITH_DIRECTIONS, ids=["at most", "at least"])
@settings(max_examples=12)
@given(bounds=st.tuples(st.floats(0, 100), st.floats(0, 100)))
def test_a_laxer_bound_is_never_harder_to_keep(
    rule: tuple[Rule, Callable[[float], Rule]], bounds: tuple[float, float]
) -> None:
    order = ("fail", "undecided", "pass")
    strict, lax = (decide([rule[1](bound)], SLOW[0], SLOW[1]).verdict for bound in sorted(bounds))
    assert order.index(strict) <= order.index(lax)


SLOW = (run(1, 110), run(2, 110, slower=1.2, right=0.7))
