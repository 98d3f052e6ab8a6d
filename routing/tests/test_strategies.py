"""Every strategy asks everybody who can answer, in an order that is told and can be repeated."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from routing.core.candidate import Candidate, cost_microusd
from routing.core.evidence import NOTHING_KNOWN, Burn, Evidence
from routing.core.policy import Canary, Settings
from routing.core.scoring import Wanted, facts_of, points_of
from routing.core.strategies import STRATEGIES, Circumstances, Order, burning, order, resting
from routing.tests.cases import CANDIDATES, EVIDENCE, EVIDENCES, NAMES, WANTED, WEIGHTS

SETTINGS = st.builds(
    Settings,
    strategy=st.sampled_from(sorted(STRATEGIES)),
    weights=WEIGHTS,
    slo=st.floats(0.5, 0.9999),
    canary=st.builds(Canary, st.sampled_from(NAMES), st.floats(0, 100)),
)
GIVEN = st.builds(
    Circumstances, SETTINGS, WANTED, EVIDENCES, st.floats(0, 1, exclude_max=True), split=st.none(), trial=st.none()
)
CHAT = Wanted(100, 100, "chat", "production")
A, B, C = (Candidate(name, "p", "m", 8192) for name in "abc")


def asked(
    strategy: str, candidates: Sequence[Candidate], known: Mapping[str, Evidence] | None = None, **more: Any
) -> Order:
    draw = more.pop("draw", 0.0)
    return order(candidates, Circumstances(Settings(strategy=strategy, **more), CHAT, known or {}, draw))


def names(made: Order) -> str:
    return "".join(one.candidate.deployment for one in made.ranked)


@given(CANDIDATES, GIVEN)
def test_every_candidate_stays_and_the_order_is_the_same_again(
    candidates: tuple[Candidate, ...], case: Circumstances
) -> None:
    made = order(candidates, case)
    assert sorted(one.candidate.deployment for one in made.ranked) == sorted(item.deployment for item in candidates)
    assert made == order(candidates, case)
    assert made.arm in {"", *(item.deployment for item in candidates)}
    assert not made.arm or made.ranked[0].candidate.deployment == made.arm


@given(CANDIDATES, GIVEN)
def test_figures_rise_along_the_order_and_equals_keep_the_routes(
    candidates: tuple[Candidate, ...], case: Circumstances
) -> None:
    wanted, evidence = case.wanted, case.evidence

    def known(item: Candidate) -> Evidence:
        return evidence.get(item.deployment, NOTHING_KNOWN)

    figures = {
        "scored": lambda item: -points_of(facts_of(item, known(item), wanted), case.settings.weights).total,
        "cheapest": lambda item: cost_microusd(item, wanted.tokens_in, wanted.tokens_out),
        "fastest_p95": lambda item: facts_of(item, known(item), wanted).latency_ms,
        "slo_burn_aware": lambda item: bool(burning(known(item).burn, case.settings.slo)),
    }
    for strategy, figure in figures.items():
        made = order(candidates, case._replace(settings=replace(case.settings, strategy=strategy)))
        assert [one.candidate for one in made.ranked] == sorted(candidates, key=figure)


@given(CANDIDATES, GIVEN, st.data())
def test_fewer_errors_never_put_a_candidate_further_back(
    candidates: tuple[Candidate, ...], case: Circumstances, data: st.DataObject
) -> None:
    assume(candidates)
    scored = case._replace(settings=replace(case.settings, strategy="scored"))
    name = data.draw(st.sampled_from([item.deployment for item in candidates]))
    before = scored.evidence.get(name, NOTHING_KNOWN)
    better = scored._replace(evidence={**scored.evidence, name: replace(before, error_rate=before.error_rate / 2)})

    def place(given_case: Circumstances) -> int:
        return [one.candidate.deployment for one in order(candidates, given_case).ranked].index(name)

    assert place(better) <= place(scored)


def test_each_strategy_says_what_it_looked_at() -> None:
    dear, slow = replace(A, price_out=5_000_000), replace(B, typical_latency_ms=4000)
    known = {"a": Evidence(samples=50, p95_ms=320.0)}
    assert [one.said for one in asked("ordered", [A, B]).ranked] == ["", ""]
    assert [one.said for one in asked("cheapest", [dear, slow]).ranked] == [
        "Costs $0 at most.",
        "Costs $0.0005 at most.",
    ]
    fastest = asked("fastest_p95", [slow, dear], known)
    assert [one.said for one in fastest.ranked] == [
        "Its p95 is 320 ms.",
        "It typically takes 4.00 s; not measured yet.",
    ]
    scored = asked("scored", [dear, slow], known)
    assert names(scored) == "ba"
    assert all(one.said == f"{one.points.total:.1f} points." for one in scored.ranked if one.points)


@pytest.mark.parametrize(
    ("burn", "slo", "said"),
    [
        (Burn(m5=14.4, h1=14.4), 0.99, "14.4x over 1 h and 14.4x over 5 min"),
        (Burn(m5=14.3, h1=99), 0.99, ""),
        (Burn(m5=99, h1=14.3), 0.99, ""),
        (Burn(m30=6, h6=6), 0.99, "6.0x over 6 h and 6.0x over 30 min"),
        (Burn(m30=5.9, h6=99), 0.99, ""),
        (Burn(m30=99, h6=5.9), 0.99, ""),
        (Burn(m5=1.5, h1=1.5), 0.999, "15.0x over 1 h"),
        (Burn(m5=99, h1=99), 0.5, ""),
    ],
)
def test_an_error_budget_burns_when_the_long_and_the_short_window_say_so(burn: Burn, slo: float, said: str) -> None:
    told = burning(burn, slo)
    assert said in told and bool(told) is bool(said)


def test_traffic_moves_away_from_what_burns() -> None:
    made = asked("slo_burn_aware", [A, B, C], {"a": Evidence(burn=Burn(m5=20, h1=15))})
    assert names(made) == "bca"
    assert "from 14.4x on" in made.ranked[-1].said


def test_draws_spread_as_the_shares_say_and_the_others_stay_behind_in_order() -> None:
    split = [replace(A, share=70), replace(B, share=30), replace(C, share=0)]
    drawn = [asked("weighted", split, draw=step / 1000) for step in range(1000)]
    assert [sum(made.arm == name for made in drawn) for name in "abc"] == [700, 300, 0]
    assert {names(made) for made in drawn} == {"abc", "bac"}
    assert drawn[699].why == "Drawn 0.699 over shares 70 / 30 / 0."


def test_without_shares_all_are_drawn_alike() -> None:
    assert [asked("weighted", [A, B, C], draw=draw).arm for draw in (0.1, 0.5, 0.9)] == ["a", "b", "c"]
    assert asked("weighted", []) == Order([])


def test_a_canary_takes_its_share_first_and_the_rest_last() -> None:
    trial = Canary("b", 5)
    chosen, spared = (asked("canary", [A, B, C], canary=trial, draw=draw) for draw in (0.049, 0.05))
    assert (names(chosen), chosen.arm) == ("bac", "b")
    assert (names(spared), spared.arm) == ("acb", "a")
    assert chosen.why == "Drawn 4.9 of 100; the canary b takes those under 5."
    assert asked("canary", [B], canary=trial, draw=0.9).arm == "b"


def test_a_canary_that_cannot_answer_changes_nothing_and_the_reason_says_so() -> None:
    made = asked("canary", [A, B], canary=Canary("elsewhere", 50))
    assert (names(made), made.arm) == ("ab", "")
    assert made.why.startswith("The canary elsewhere is not among")
    assert asked("canary", [A, B]) == asked("ordered", [A, B])


@given(EVIDENCE)
def test_whoever_fails_or_has_no_quota_rests_and_the_reason_is_a_sentence(known: Evidence) -> None:
    told = resting(known, 1000.0)
    rests = known.retry_at > 1000 or known.breaker == "open" or known.quota_left == 0
    assert bool(told) is rests
    assert not told or (told.endswith(".") and "tried last" in told)
