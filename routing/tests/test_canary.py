"""The decisions on a canary: the table and its picture, when it advances, holds and goes back, and in which words."""

import itertools
import json
import re
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.canary import (
    ALL,
    ALPHAS,
    LIVE,
    OVER_BUDGET,
    QUANTILES,
    TABLE,
    Call,
    Decision,
    Event,
    Evidence,
    Rules,
    State,
    bar_of,
    decide,
    limit_alone,
    next_stage,
    observe,
    observe_scores,
)
from routing.core.canary_calls import call_in
from routing.core.canary_record import from_json, to_json
from routing.core.canary_words import figures, sentence
from routing.core.sequential import Contest
from routing.core.trial import trial_of

RULES = Rules(window=50)
SCORED = Rules(window=50, tolerance=0.05)
OK = (False, 200.0, 100.0, 300.0)
FAILED = (True, None, None, None)
SLOW = (False, 900.0, 100.0, 300.0)
DEAR = (False, 200.0, 100.0, 900.0)


def _seen(candidate: list[Any], base: list[Any], share: int = 25, rules: Rules = RULES, rounds: int = 60) -> Evidence:
    """Three calls of the base, then one of the candidate, again and again."""
    evidence, ours, theirs = Evidence(), itertools.cycle(candidate), itertools.cycle(base)
    for _ in range(rounds):
        for _ in range(3):
            evidence = observe(evidence, Call(False, *next(theirs)), rules, share)
        evidence = observe(evidence, Call(True, *next(ours)), rules, share)
    return evidence


def _decided(evidence: Evidence, state: State = "running", share: int = 25) -> tuple[Decision, str]:
    decision = decide(evidence, RULES, state, share)
    return decision, sentence(decision, evidence, RULES, share)


def test_the_picture_shows_the_table() -> None:
    text = Path("ARCHITECTURE.md").read_text()
    drawn = set()
    for diagram in re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", text, re.S):
        drawn |= {(a, e, b) for a, b, e in re.findall(r"(\w+) --> (\w+): (\w+)", diagram) if "rolled_back" in diagram}
    assert drawn == {(state, event, after) for (state, event), after in TABLE.items()}


def test_what_has_ended_does_not_move() -> None:
    assert {state for state, _ in TABLE} == set(LIVE) == set(get_args(State)) - {"rolled_back", "done"}
    assert {event for _, event in TABLE} == set(get_args(Event))


def test_the_chances_of_a_false_alarm_add_up_to_one_percent() -> None:
    assert sum(ALPHAS.values()) - ALPHAS["errors"] + OVER_BUDGET == pytest.approx(0.01)
    failing = _seen([FAILED], [OK], rounds=3)
    for rules in (RULES, SCORED):
        spent = sum(exp(-bar_of(name, failing, rules)) * len(QUANTILES.get(name, "1")) for name in rules.metrics)
        assert spent == pytest.approx(0.01), "the score's part is taken from that of failures"


def test_a_stage_is_left_when_its_window_is_full() -> None:
    few = _seen([OK], [OK], rounds=49)
    assert _decided(few) == ((None, "window", ""), "The stage needs 50 calls of the candidate; it has 49.")
    full = observe(few, Call(True, *OK), RULES, 25)
    decision, said = _decided(full)
    assert decision.event == "advance"
    assert said == "50 calls in this stage, 0 failed; the base failed 0.0%. Nothing speaks against it."
    assert _decided(next_stage(full))[0].reason == "window"


@pytest.mark.parametrize(
    ("candidate", "metric", "said"),
    [
        (
            [FAILED],
            "errors",
            "It fails more often than the base: 4 of 4 (100.0%), over the budget of 2.0%; base 0 of 12",
        ),
        ([SLOW], "latency", "It is slower: "),
        ([(False, 200.0, 900.0, 300.0)], "ttft", "It is slower to the first token: "),
        ([DEAR], "cost", "It is dearer: "),
    ],
)
def test_what_is_worse_goes_back(candidate: list[Any], metric: str, said: str) -> None:
    varied = [(False, 200.0 + n, 100.0 + n, 300.0 + n) for n in range(7)]
    for rounds in range(1, 60):
        evidence = _seen(candidate, varied, rounds=rounds)
        decision, why = _decided(evidence)
        if decision.event == "worse":
            break
    assert (decision.event, decision.metric) == ("worse", metric)
    assert why.startswith(said) and "decisive from" in why
    assert rounds <= 30
    assert _decided(_seen([OK], [OK], rounds=5))[0].event is None


def test_answers_that_score_worse_go_back() -> None:
    evidence = Evidence()
    for pair in range(200):
        evidence = observe_scores(evidence, 0.25 + 0.5 * (pair % 2), 0.75 + 0.25 * (pair % 2), SCORED)
        if (decision := decide(evidence, SCORED, "running", 25)).event:
            break
    assert decision == Decision("worse", "worse", "score") and pair < 60
    said = sentence(decision, evidence, SCORED, 25)
    assert said.startswith("It answers worse: score 0.49 against the base's 0.87 in 31 pairs, 0.38 less (0.16 to 0.49 ")
    assert said.endswith("with 95 %); 0.05 is allowed. e-value 550, decisive from 500.")
    told = figures(evidence, SCORED)
    assert [one["metric"] for one in told["metrics"]][-1] == "score" and told["score"]["pairs"] == pair + 1
    unscored = figures(evidence, RULES)
    assert "score" not in unscored and "score" not in [one["metric"] for one in unscored["metrics"]]
    assert decide(evidence, RULES, "running", 25).event is None
    assert figures(Evidence(), SCORED)["score"]["gap"] is None


def test_a_stage_may_need_scores_but_the_last_has_no_base_to_score() -> None:
    rules, evidence = replace(SCORED, least_pairs=2), observe_scores(_seen([OK], [OK]), 1, 1, SCORED)
    decision = decide(evidence, rules, "running", 25)
    assert decision == Decision(None, "scores")
    said = sentence(decision, evidence, rules, 25)
    assert said == "The stage needs 2 pairs of scored answers; it has 1."
    assert decide(evidence, SCORED, "running", 25).event == "advance", "by itself it waits for none"
    assert decide(evidence, rules, "running", ALL).event == "finish"
    enough = observe_scores(evidence, 1, 1, rules)
    assert decide(enough, rules, "running", 25).event == "advance"
    assert decide(next_stage(enough), replace(rules, window=0), "running", 25).reason == "scores"


def test_what_was_shown_stays_shown() -> None:
    evidence = _seen([FAILED], [OK], rounds=10)
    for _ in range(500):
        evidence = observe(observe(evidence, Call(False, *OK), RULES, 25), Call(True, *OK), RULES, 25)
    assert evidence.log_es()["errors"] < evidence.peak_of("errors")
    assert _decided(evidence)[0].event == "worse"


def test_over_the_budget_without_proof_it_holds() -> None:
    """Both fail 4 %: twice the budget, but the candidate is no worse than the base, so it is not taken back either."""
    evidence = _seen([FAILED, *[OK] * 24], [FAILED, *[OK] * 24], rounds=400)
    decision, said = _decided(evidence)
    assert (decision.event, decision.reason) == ("hold", "budget")
    assert "over 2.0%, which is 2 times the error budget, though not proven worse than the base" in said
    assert _decided(evidence, "held")[0] == (None, "budget", "errors"), "it holds already"


def test_paused_by_hand_it_neither_advances_nor_holds_but_goes_back_when_worse() -> None:
    assert _decided(_seen([OK], [OK]))[0].event == "advance"
    decision, said = _decided(_seen([OK], [OK]), "paused")
    assert (decision, said[:25]) == (Decision(None, "paused"), "Paused by hand at 25 %. I")
    assert _decided(_seen([FAILED], [OK]), "paused")[0].event == "worse"


def test_close_to_proof_it_holds() -> None:
    """Of a lenient objective, so that no budget speaks first."""
    rules = Rules(window=3, slo=0.5)
    evidence = _seen([FAILED], [OK], rules=rules, rounds=3)
    decision = decide(evidence, rules, "running", 25)
    assert decision == Decision("hold", "close", "errors")
    said = sentence(decision, evidence, rules, 25)
    assert "Not proven worse in errors, but not far from it: e-value" in said and "decisive from 500." in said


def test_without_a_base_to_compare_with_it_holds() -> None:
    evidence = Evidence()
    for _ in range(60):
        evidence = observe(evidence, Call(True, *OK), RULES, 25)
    decision, said = _decided(evidence)
    assert (decision.event, decision.reason) == ("hold", "no_base")
    assert said.endswith("but the base had too few calls to compare with.")


def test_at_one_hundred_percent_only_its_failures_count() -> None:
    evidence = next_stage(_seen([OK], [OK]))
    for _ in range(50):
        evidence = observe(evidence, Call(True, *SLOW), RULES, ALL)
    decision, said = _decided(evidence, share=ALL)
    assert decision.event == "finish" and said.endswith("The candidate takes over.")
    for _ in range(20):
        evidence = observe(evidence, Call(True, *FAILED), RULES, ALL)
    decision, said = _decided(evidence, share=ALL)
    assert (decision.event, decision.metric) == ("worse", "errors_alone")
    assert said.startswith("At 100 % it failed 20 of 70 (28.6%), more often than it may.")


def test_the_limit_alone_follows_a_base_that_failed_more() -> None:
    assert limit_alone(Contest(), RULES) == pytest.approx(0.02)
    assert limit_alone(Contest(base=1000, base_bad=50), RULES) == pytest.approx(0.1)
    assert limit_alone(Contest(base=100, base_bad=90), RULES) == 0.5


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([OK, FAILED, SLOW, DEAR])), max_size=120))
def test_evidence_survives_being_stored_between_any_two_calls(calls: list[Any]) -> None:
    kept = whole = Evidence()
    for candidate, call in calls:
        whole = observe(whole, Call(candidate, *call), RULES, 5)
        whole = observe_scores(whole, 0.5 * candidate, 0.7, SCORED)
        kept = observe(from_json(json.loads(json.dumps(to_json(kept)))), Call(candidate, *call), RULES, 5)
        kept = observe_scores(kept, 0.5 * candidate, 0.7, SCORED)
    assert kept == whole
    assert decide(kept, RULES, "running", 5) == decide(whole, RULES, "running", 5)
    json.dumps(figures(kept, RULES))


def test_a_metric_that_is_new_begins_anew() -> None:
    data = to_json(_seen([OK], [OK], rounds=40))
    del data["amounts"]["cost"], data["score"], data["stage_pairs"]
    read = from_json(data)
    assert read.score == Evidence().score
    assert read.amounts["cost"] == Evidence().amounts["cost"] and read.errors.candidate[0] == 40


@given(st.integers(0, 10**6), st.text(max_size=20), st.integers(1, 100), st.integers(1, 100))
def test_who_is_on_the_candidates_side_stays_there_while_it_grows(number: int, who: str, one: int, other: int) -> None:
    less, more = sorted((one, other))
    tried = {"name": "new", "deployment": "new", "sticky": "key", "identity": who}
    before, after = trial_of(number, share=less, **tried), trial_of(number, share=more, **tried)
    assert before.draw == after.draw and (after.candidate or not before.candidate)


def test_a_trial_says_what_it_did() -> None:
    trial = trial_of(1, name="new", deployment="new", share=100, sticky="key", identity="k")
    assert trial.why == (
        f"Canary of new, stage 100 %, by key: {trial.draw * 100:.1f} was drawn of 100, so the arm is the candidate."
    )


def _record(outcome: str, *, candidate: bool = True, tried: str = "new", **more: Any) -> dict[str, Any]:
    trial = {"canary": 3, "candidate": candidate, "deployment": tried}
    attempts = [{"deployment": "new" if candidate else "old"}]
    plan = {"features": {"trial": trial}}
    return {"outcome": outcome, "plan_json": plan, "attempts_json": attempts, "latency_ms": 20, **more}


@pytest.mark.parametrize(
    ("record", "call"),
    [
        (_record("ok", cost_microusd=5), (3, Call(True, False, 20.0, None, 5.0))),
        (_record("ok", candidate=False, ttft_ms=4.5), (3, Call(False, False, 20.0, 4.5, None))),
        (_record("fell_back"), (3, Call(True, True))),
        (_record("failed", candidate=False), (3, Call(False, True))),
        (_record("rejected", tried=""), (3, Call(True, True))),
        (_record("rejected", attempts_json=[]), None),
        (_record("cached", attempts_json=[]), None),
        (_record("cancelled"), None),
        (_record("limited"), None),
        (_record("ok", attempts_json=[{"deployment": "old"}]), None),
        (_record("ok", sample=True), None),
        (_record("ok", latency_ms=True), (3, Call(True, False))),
        ({"outcome": "ok", "plan_json": None}, None),
        ({"outcome": "ok", "plan_json": {"features": {"trial": None}}}, None),
        (_record("ok") | {"plan_json": {"features": {"trial": {"canary": "3"}}}}, None),
    ],
)
def test_which_traces_are_calls(record: dict[str, Any], call: tuple[int, Call] | None) -> None:
    assert call_in(record) == call


def test_answers_that_can_be_read_can_be_scored() -> None:
    words: dict[str, Any] = {"request_json": {"messages": []}, "response_json": {"choices": []}, "endpoint": "chat"}
    record = _record("ok", id=str(UUID(int=5)), api_key="web", **words)
    assert _trace_in(record) == UUID(int=5)
    for unread in (
        {"request_json": None, "response_json": None},
        {"response_json": "no object"},
        {"endpoint": "embeddings"},
        {"api_key": "judge of canary 3"},
        {"outcome": "failed"},
    ):
        assert _trace_in(record | unread) is None


def _trace_in(record: dict[str, Any]) -> UUID | None:
    found = call_in(record)
    assert found is not None
    return found[1].trace
