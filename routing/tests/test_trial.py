"""A canary in a plan: whom each side asks, in which order, and what the cache may keep."""

from dataclasses import replace

import pytest

from routing.core.features import Features
from routing.core.plan import ActivePolicy, Candidate, ExecutionPlan, Surroundings, make_plan
from routing.core.policy import PolicyDocument, Settings
from routing.core.split import Split
from routing.core.trial import Trial

OWN = [Candidate(name, "p", name, 8192) for name in ("a", "b")]
NEW = Candidate("new", "p", "new", 8192)
TRIAL = Trial(7, True, "new", "new", 5, "conversation", 0.013)
SPLIT = Split({"a": 70, "b": 30}, "key", 0.9, "b")


def _plan(
    trial: Trial | None,
    candidates: list[Candidate],
    *,
    order: tuple[str, ...] | None = None,
    split: Split | None = None,
    strategy: str = "ordered",
) -> ExecutionPlan:
    document = PolicyDocument({}, {}, Settings(candidates=order, strategy=strategy), ())
    features = Features("m", "web", 10, 10, split=split, trial=trial)
    return make_plan(ActivePolicy("p", 1, document), features, {}, candidates, {}, Surroundings(0.0, {"UTC": 0}))


def _asked(plan: ExecutionPlan) -> list[str]:
    return [one.deployment for one in plan.attempts]


@pytest.mark.parametrize("strategy", ["ordered", "cheapest", "weighted"])
@pytest.mark.parametrize("order", [None, ("b", "a")])
@pytest.mark.parametrize("split", [None, SPLIT])
def test_the_candidates_side_asks_it_first_whatever_else_is_said(
    strategy: str, order: tuple[str, ...] | None, split: Split | None
) -> None:
    plan = _plan(TRIAL, [*OWN, NEW], order=order, split=split, strategy=strategy)
    assert _asked(plan)[0] == plan.arm == "new" and len(plan.attempts) == 3
    assert ("canary", "new", "candidate", TRIAL.why) in plan.reasons


def test_the_bases_side_asks_it_last_and_only_if_it_is_the_routes() -> None:
    base = replace(TRIAL, candidate=False)
    assert _asked(_plan(base, [NEW, *OWN])) == ["a", "b", "new"]
    assert _asked(_plan(base, OWN)) == ["a", "b"]
    plan = _plan(base, OWN, split=SPLIT)
    assert (_asked(plan), plan.arm) == (["b", "a"], "b")


def test_the_base_keeps_its_cache_and_the_candidate_has_its_own() -> None:
    plain, base = _plan(None, OWN), _plan(replace(TRIAL, candidate=False), OWN)
    assert plain.signature == base.signature != _plan(TRIAL, [NEW, *OWN]).signature


def test_a_candidate_that_cannot_answer_leaves_the_others() -> None:
    plan = _plan(TRIAL, [replace(NEW, unavailable="It is switched off."), *OWN])
    assert (_asked(plan), plan.arm) == (["a", "b"], "")


@pytest.mark.parametrize("candidate", [True, False])
def test_where_a_policy_is_tried_nobody_is_moved(candidate: bool) -> None:
    plan = _plan(replace(TRIAL, deployment="", candidate=candidate), OWN, order=("b", "a"))
    assert (_asked(plan), plan.arm) == (["b", "a"], "")
