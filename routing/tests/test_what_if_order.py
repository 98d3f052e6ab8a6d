"""What is named as the change that would have chosen another would indeed have."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.lineup import lineup_of
from routing.core.plan import ActivePolicy
from routing.core.policy import PolicyDocument, Settings
from routing.core.recording import Decision
from routing.core.split import arm_of, split_of
from routing.core.trial import trial_of
from routing.core.what_if_order import what_would_flip
from routing.tests.test_replay import CASE


def decided(strategy: str, *, draw: float = 0.0, **features: Any) -> Decision:
    policy = ActivePolicy("p", 1, PolicyDocument({}, {}, Settings(strategy=strategy), ()))
    features = {"features": replace(CASE.features, **features)}
    return CASE._replace(policy=policy, around=replace(CASE.around, draw=draw), **features)


def flips(given: Decision) -> list[str]:
    return what_would_flip(given, given.plan())


def test_order() -> None:
    assert flips(decided("ordered")) == [
        "`hosted` would have been first had it stood before `local` in the order.",
        "`paid` would have been first had it stood before `local` in the order.",
    ]


def test_cost_and_latency() -> None:
    assert flips(decided("cheapest"))[0].startswith("`hosted` would have been first had it cost less than $0 (was $")
    assert (
        flips(decided("fastest_p95"))[0] == "`local` would have been first had it taken less than 431 ms (was 812 ms)."
    )


def test_points() -> None:
    given = decided("scored")
    given = given._replace(around=replace(given.around, environment="production"))
    assert "would have been first" in flips(given)[0]


def test_nobody_else_or_nobody_who_is_not_resting() -> None:
    alone = decided("ordered")._replace(lineup=lineup_of(CASE.lineup.candidates[:1]))
    assert flips(alone) == []
    failing = {name: replace(CASE.evidence["local"], breaker="open") for name in ("local", "hosted", "paid")}
    assert flips(decided("ordered")._replace(evidence=failing)) == []


@given(st.floats(0, 1, exclude_max=True))
def test_a_draw_from_the_named_part_chooses_the_named_one(draw: float) -> None:
    names = [item.deployment for item in CASE.lineup.candidates]
    arm = names[arm_of([1, 1, 1], draw)]
    told = flips(decided("weighted", draw=draw))
    assert [one.split("`")[1] for one in told] == [name for name in names if name != arm]
    assert f"(was {draw:.3f})" in told[0]


def test_a_split_is_told_by_its_shares() -> None:
    split = split_of({"local": 70, "hosted": 30, "paid": 0}, "key", identity="web", salt="x")
    told = flips(decided("ordered", split=split))
    other, where = ("hosted", "0.70 to 1.00") if split.arm == "local" else ("local", "0.00 to 0.70")
    assert told == [f"`{other}` would have been first with a draw from {where} (was {split.draw:.3f})."]


@pytest.mark.parametrize(("share", "other"), [(100, "The base"), (0, "`hosted`")])
def test_a_canary(share: int, other: str) -> None:
    trial = trial_of(1, name="hosted", deployment="hosted", share=share, sticky="key", identity="web")
    where = "from 1.00 on" if share else "below 0.00"
    assert flips(decided("ordered", trial=trial)) == [
        f"{other} would have been first with a draw {where} (was {trial.draw:.3f})."
    ]
