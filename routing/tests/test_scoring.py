"""Each factor stays within its points, a weight of nothing takes it out, and better is never worse."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.candidate import Candidate
from routing.core.evidence import Evidence
from routing.core.policy import Weights
from routing.core.scoring import Points, Wanted, facts_of, points_of
from routing.tests.cases import EVIDENCE, SHARES, WANTED, WEIGHTS, candidate

FACTORS = [name for name in Points._fields if name != "total"]
ONE = candidate("a")
CHAT = Wanted(100, 100, "chat", "production")


def points(item: Candidate, known: Evidence, wanted: Wanted, weights: Weights) -> Points:
    return points_of(facts_of(item, known, wanted), weights)


@given(ONE, EVIDENCE, WANTED, WEIGHTS)
def test_every_factor_stays_within_its_weight(
    item: Candidate, known: Evidence, wanted: Wanted, weights: Weights
) -> None:
    given_points = points(item, known, wanted, weights)
    for name in FACTORS:
        most = getattr(weights, name)
        assert -most * (name == "health") <= getattr(given_points, name) <= most
    assert given_points.total == pytest.approx(sum(given_points[:-1]))


@given(ONE, EVIDENCE, WANTED, WEIGHTS, st.sampled_from(FACTORS))
def test_a_weight_of_nothing_takes_a_factor_out(
    item: Candidate, known: Evidence, wanted: Wanted, weights: Weights, name: str
) -> None:
    without = points(item, known, wanted, replace(weights, **{name: 0.0}))
    with_it = points(item, known, wanted, weights)
    assert getattr(without, name) == 0
    assert without.total == pytest.approx(with_it.total - getattr(with_it, name))


@given(ONE, EVIDENCE, WANTED, WEIGHTS, SHARES, st.data())
def test_better_is_never_worth_less(
    item: Candidate, known: Evidence, wanted: Wanted, weights: Weights, part: float, data: st.DataObject
) -> None:
    left = 1.0 if known.quota_left is None else known.quota_left
    better = data.draw(
        st.sampled_from(
            [
                (replace(item, price_in=int(item.price_in * part), price_out=int(item.price_out * part)), known),
                (replace(item, typical_latency_ms=max(1, int(item.typical_latency_ms * part))), known),
                (replace(item, quality=item.quality + int((100 - item.quality) * part)), known),
                (replace(item, strengths={**item.strengths, wanted.task: 1.0}), known),
                (item, replace(known, error_rate=known.error_rate * part)),
                (item, replace(known, breaker="closed")),
                (item, replace(known, p95_ms=known.p95_ms and known.p95_ms * part)),
                (item, replace(known, quota_left=left + (1 - left) * part)),
            ]
        )
    )
    assert points(*better, wanted, weights).total >= points(item, known, wanted, weights).total - 1e-9


FREE, PAID = Candidate("a", "p", "m", 8192), Candidate("b", "p", "m", 8192, price_in=1_000_000, price_out=1_000_000)


def test_free_gets_all_points_of_cost_and_a_dollar_a_million_tokens_half_of_them() -> None:
    assert points(FREE, Evidence(), CHAT, Weights()).cost == 30
    assert points(PAID, Evidence(), CHAT, Weights()).cost == 15
    lopsided = replace(PAID, price_in=0, price_out=4_000_000)
    assert points(lopsided, Evidence(), CHAT._replace(tokens_in=300), Weights()).cost == 15


def test_the_price_of_another_changes_nothing_and_neither_does_the_size_of_the_request() -> None:
    large = CHAT._replace(tokens_in=4000, tokens_out=4000)
    assert points(PAID, Evidence(), CHAT, Weights()) == points(PAID, Evidence(), large, Weights())


@pytest.mark.parametrize(
    ("known", "health"),
    [
        (Evidence(), 30),  # who is never asked would stay so for ever, were it worth less
        (Evidence(samples=1000), 30),
        (Evidence(samples=1, error_rate=1.0), 30 * (1 - (1 / 51) / 0.05)),
        (Evidence(samples=50, error_rate=0.1), 0),
        (Evidence(samples=200, error_rate=0.5), -30),
        (Evidence(samples=1000, breaker="open"), -30),
    ],
)
def test_a_few_errors_prove_little_many_cost_all_and_an_open_breaker_too(known: Evidence, health: float) -> None:
    assert points(FREE, known, CHAT, Weights()).health == pytest.approx(health)


def test_latency_is_the_measured_p95_once_there_are_enough_samples() -> None:
    typical = replace(FREE, typical_latency_ms=2000)
    few, enough = Evidence(samples=19, p95_ms=6000), Evidence(samples=20, p95_ms=6000)
    assert (facts_of(typical, few, CHAT).latency_ms, facts_of(typical, few, CHAT).measured) == (2000, False)
    assert (facts_of(typical, enough, CHAT).latency_ms, facts_of(typical, enough, CHAT).measured) == (6000, True)
    assert points(typical, few, CHAT, Weights()).latency == 5
    assert points(typical, enough, CHAT, Weights()).latency == 2.5


def test_a_limit_gives_points_by_what_is_left_and_none_gives_all() -> None:
    assert points(FREE, Evidence(quota_left=0.25), CHAT, Weights()).quota == 5
    assert points(FREE, Evidence(), CHAT, Weights()).quota == 20


def test_a_strength_that_is_not_stated_counts_as_middling() -> None:
    strong = replace(FREE, strengths={"reasoning": 0.8})
    assert points(strong, Evidence(), CHAT._replace(task="reasoning"), Weights()).task == 12
    assert points(strong, Evidence(), CHAT, Weights()).task == 7.5


@pytest.mark.parametrize(
    ("environment", "preferred", "expected"),
    [
        ("development", ("development",), 20),
        ("development", ("production",), 0),
        ("development", (), 20),
        ("production", ("production",), 18),
        ("production", ("development",), 0),
        ("production", (), 18),
        ("staging", ("production",), 18),
        ("staging", ("staging",), 18),
        ("staging", ("development",), 0),
    ],
)
def test_development_prefers_what_is_local_and_all_else_the_best(
    environment: str, preferred: tuple[str, ...], expected: float
) -> None:
    good = replace(FREE, quality=90, environments=preferred)
    assert points(good, Evidence(), CHAT._replace(environment=environment), Weights()).environment == expected
