"""Canaries in a running Relay: who is on which side, what a bad candidate costs, and that it is taken back."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from conftest import eventually
from routing.canaries import look_at_all, start_canary
from routing.core.canary_record import from_json
from routing.models import Canary, CanaryCall, CanaryEvidence, Deployment, Route
from routing.services import activate, save_draft
from routing.tests.stage import NO_CACHE, Stage
from routing.tests.upstream import refuses, says

pytestmark = pytest.mark.usefixtures("committed")


class Trying:
    """A route of the stage with a canary on it; clients ask it one after the other."""

    def __init__(self, stage: Stage, base: str, **canary: Any) -> None:
        self.stage, self.base = stage, base
        self.model = stage.route(says("the base"), **canary.pop("route", {}))
        self.route = Route.objects.get(name=self.model)
        self.asked = 0
        self._canary = canary

    def candidate(self, script: Any, **values: Any) -> Deployment:
        slug = f"{self.model}-new"
        self.stage.fake.scripts[slug] = script
        provider = self.stage.deployment(self.model).provider
        return Deployment.objects.create(slug=slug, provider=provider, model=slug, **values)

    def start(self, candidate: Any) -> Canary:
        given = {"stages": [50], "window": 20, **self._canary}
        self.canary = start_canary(route=self.route, candidate=candidate, **given)
        self.stage.in_both(lambda base: self.reasons(self.ask(base)))
        return self.canary

    def ask(self, base: str = "", **more: Any) -> Any:
        self.asked += 1
        answer = self.stage.ask(base or self.base, self.model, f"question {self.asked} {self.model}", **more)
        assert answer.status_code == 200, answer.text
        return answer

    def reasons(self, answer: Any) -> list[dict[str, str]]:
        steps = self.stage.trace(answer).decision_trace_json
        return [one for one in steps if one["step"] == "canary"]

    def until(self, state: str, **more: Any) -> Canary:
        """Ask and look, as clients and the beat do, until the canary is in that state."""

        def reached() -> bool:
            for _ in range(10):
                self.ask(**more)
            look_at_all()
            self.canary.refresh_from_db()
            return self.canary.state == state

        eventually(reached)
        return self.canary

    def answered_by(self, word: str, times: int = 30) -> bool:
        return all(word in self.ask().text for _ in range(times))


def test_a_candidate_that_fails_is_rolled_back_and_no_client_sees_it(stage: Stage) -> None:
    trying = Trying(stage, stage.shells.express)
    trying.start(trying.candidate(refuses(500)))
    canary = trying.until("rolled_back")
    exposed = len(stage.fake.received[f"{trying.model}-new"])
    print(f"errors: rolled back after {exposed} calls of the candidate")
    assert canary.transitions.latest("at").why.startswith("It fails more often than the base: ")
    assert exposed <= 50
    eventually(lambda: trying.answered_by("the base"))
    eventually(lambda: look_at_all() >= 0 and not CanaryCall.objects.filter(canary_id=canary.pk).exists())


def test_a_candidate_that_is_slow_is_rolled_back(stage: Stage) -> None:
    trying = Trying(stage, stage.shells.express, window=200)
    trying.start(trying.candidate(says("slow", gap_s=0.05)))
    canary = trying.until("rolled_back")
    exposed = len(stage.fake.received[f"{trying.model}-new"])
    print(f"latency: rolled back after {exposed} calls of the candidate")
    assert canary.transitions.latest("at").why.startswith("It is slower: ")
    assert exposed <= 200


def test_each_conversation_stays_on_its_side_and_its_trace_says_why(base: str, stage: Stage) -> None:
    trying = Trying(stage, base, window=10_000)
    canary = trying.start(trying.candidate(says("the candidate")))
    sides: Counter[str] = Counter()
    for number in range(12):
        said = f"conversation {number} {trying.model}"
        first = stage.ask(base, trying.model, said)
        turns = [{"role": "user", "content": said}, {"role": "assistant", "content": "?"}]
        again = stage.ask(base, trying.model, messages=[*turns, {"role": "user", "content": f"more {number}"}])
        assert first.headers["x-relay-provider"] and first.json()["model"] == again.json()["model"]
        assert ("candidate" in first.text) == ("candidate" in again.text)
        [reason] = trying.reasons(first)
        arm = "candidate" if "the candidate" in first.text else "base"
        assert reason["outcome"] == arm and reason["subject"] == canary.name
        assert reason["why"].startswith(f"Canary of {canary.name}, stage 50 %, by conversation: ")
        sides[arm] += 1
    assert set(sides) == {"candidate", "base"}


def test_a_good_candidate_goes_through_its_stages_and_becomes_the_routes_first(stage: Stage) -> None:
    trying = Trying(stage, stage.shells.express, stages=[30, 60], window=12)
    candidate = trying.candidate(says("the candidate"))
    trying.start(candidate)
    canary = trying.until("done")
    assert [(one.from_share, one.to_share) for one in canary.transitions.all() if one.to_state == "running"] == [
        (0, 30),
        (30, 60),
        (60, 100),
    ]
    assert [step.deployment.slug for step in trying.route.steps.all()] == [candidate.slug, f"{trying.model}-0"]
    eventually(lambda: trying.answered_by("the candidate"))


def test_a_policy_version_is_tried_and_made_active(stage: Stage) -> None:
    trying = Trying(stage, stage.shells.express, stages=[50], window=5)
    policy = trying.route.policy
    draft = save_draft(policy=policy, text=NO_CACHE.replace("max_tokens: 64", "max_tokens: 32"), base=1)
    trying.start(draft)
    versions = {trying.ask().headers["x-relay-policy"] for _ in range(20)}
    assert versions == {f"{policy.slug}@1", f"{policy.slug}@2"}
    named = trying.ask(headers={"x-relay-metadata": ""}, policy=policy.slug)
    assert named.status_code == 200
    trying.until("done")
    policy.refresh_from_db()
    assert policy.active_version == 2


def test_a_version_that_goes_live_meanwhile_is_not_replaced_by_the_one_on_trial(stage: Stage) -> None:
    trying = Trying(stage, stage.shells.express, stages=[50], window=10_000)
    policy = trying.route.policy
    trial = save_draft(policy=policy, text=NO_CACHE.replace("max_tokens: 64", "max_tokens: 32"), base=1)
    fix = save_draft(policy=policy, text=NO_CACHE.replace("max_tokens: 64", "max_tokens: 48"), base=trial.number)
    canary = trying.start(trial)
    activate(policy=policy, number=fix.number, expected=1)
    look_at_all()
    canary.refresh_from_db()
    why = f"{policy.slug}@2 was compared with {policy.slug}@1, which is not active any more."
    assert (canary.state, canary.transitions.latest("at").why) == ("rolled_back", why)
    eventually(lambda: {trying.ask().headers["x-relay-policy"] for _ in range(10)} == {f"{policy.slug}@3"})


@pytest.mark.parametrize("how", ["deleted", "switched off"])
def test_without_its_candidate_the_base_answers_and_the_canary_goes_back(stage: Stage, how: str) -> None:
    trying = Trying(stage, stage.shells.express, stages=[99], window=10_000)
    candidate = trying.candidate(says("the candidate"))
    canary = trying.start(candidate)
    eventually(lambda: "the candidate" in trying.ask().text)
    if how == "deleted":
        candidate.delete()
    else:
        Deployment.objects.filter(pk=candidate.pk).update(enabled=False)
    eventually(lambda: trying.answered_by("the base"))
    look_at_all()
    canary.refresh_from_db()
    said = {"deleted": "was deleted.", "switched off": "cannot be used: it is switched off."}[how]
    assert (canary.state, canary.transitions.latest("at").why) == ("rolled_back", f"{candidate.slug} {said}")


def test_of_two_that_start_one_is_told_so(stage: Stage) -> None:
    trying = Trying(stage, stage.shells.express)
    candidates = [trying.candidate(says("one")), stage.deployment(stage.route(says("two")))]

    def start(candidate: Deployment) -> str:
        try:
            start_canary(route=trying.route, candidate=candidate)
        except ValidationError as refused:
            return refused.message_dict["route"][0]
        finally:
            connection.close()
        return ""

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(start, candidates))
    assert said[0] == "" and said[1].startswith(f"The route {trying.model} has a canary already, "), said
    assert Canary.objects.filter(route=trying.route).count() == 1


def test_every_call_counts_exactly_once(stage: Stage) -> None:
    """Looked at by two watchers at once, while traces come in."""
    trying = Trying(stage, stage.shells.express, stages=[50], window=10_000)
    canary = trying.start(trying.candidate(says("the candidate")))
    trying.asked = 0
    before = _counted(canary)

    def watch() -> None:
        for _ in range(20):
            look_at_all()
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        watchers = [pool.submit(watch) for _ in range(2)]
        for _ in range(40):
            trying.ask()
        for watcher in watchers:
            watcher.result()
    assert before <= 2
    eventually(lambda: look_at_all() and _counted(canary) >= trying.asked + 2)
    assert _counted(canary) == trying.asked + 2, "and the two that found it live in both shells"


def _counted(canary: Canary) -> int:
    errors = from_json(CanaryEvidence.objects.get(canary=canary).data).errors
    return errors.candidate[0] + errors.reference[0]
