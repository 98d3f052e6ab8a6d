"""What the shipped policy for many candidates does with a catalogue of the usual kinds."""

from pathlib import Path

import pytest

from routing.core.candidate import Candidate
from routing.core.evidence import Evidence
from routing.core.features import Features
from routing.core.plan import ActivePolicy, Surroundings, make_plan
from routing.documents import read_policy

AUTO = ActivePolicy("auto", 1, read_policy((Path(__file__).parents[2] / "policies" / "policy.auto.yaml").read_text()))
HOSTED, LOCAL = ("production",), ("development",)
THINKER = Candidate(
    "thinker", "free", "m", 64_000, environments=HOSTED, quality=90, typical_latency_ms=12_000,
    strengths={"reasoning": 0.95, "coding": 0.85, "chat": 0.6, "speed": 0.1},
)  # fmt: skip
QUICK = Candidate(
    "quick", "free", "m", 64_000, environments=HOSTED, quality=78, typical_latency_ms=700,
    strengths={"reasoning": 0.6, "coding": 0.65, "chat": 0.75, "speed": 1.0},
)  # fmt: skip
PAID = Candidate(
    "paid", "dear", "m", 64_000, environments=HOSTED, quality=95, typical_latency_ms=4_000,
    strengths={"reasoning": 0.95, "coding": 1.0, "chat": 0.95, "speed": 0.4},
    price_in=3_000_000, price_out=15_000_000,
)  # fmt: skip
HOME = Candidate(
    "home", "own", "m", 8_000, environments=LOCAL, quality=35, typical_latency_ms=5_000,
    strengths={"reasoning": 0.15, "coding": 0.2, "chat": 0.4, "speed": 0.4},
)  # fmt: skip
ALL = (PAID, HOME, THINKER, QUICK)


def order(task: str, environment: str = "production", **known: Evidence) -> list[str]:
    around = Surroundings(0.0, {"UTC": 0}, environment)
    plan = make_plan(AUTO, Features("auto", "web", 100, None, task=task), {}, ALL, known, around)
    return [item.deployment for item in plan.attempts]


@pytest.mark.parametrize(
    ("task", "first"), [("reasoning", "thinker"), ("coding", "thinker"), ("chat", "quick"), ("speed", "quick")]
)
def test_production_sends_each_task_to_the_free_candidate_that_does_it_best(task: str, first: str) -> None:
    assert order(task)[0] == first


@pytest.mark.parametrize("task", ["reasoning", "coding", "chat", "speed"])
def test_development_stays_local_and_saves_the_free_tiers(task: str) -> None:
    assert order(task, "development")[0] == "home"


def test_an_exhausted_free_tier_overflows_to_the_next_and_comes_last() -> None:
    assert (
        order("speed", quick=Evidence(quota_left=0.0, quota_why="14,400 of 14,400 requests a day are used."))[-1]
        == "quick"
    )


def test_errors_move_traffic_away() -> None:
    assert order("chat", quick=Evidence(samples=200, error_rate=0.3))[0] != "quick"
