"""Canaries in a running Relay: who is on which side, what a bad candidate costs, and that it is taken back."""

from typing import Any

import pytest

from conftest import eventually
from routing.canaries import look_at_all, start_canary
from routing.models import Canary, CanaryCall, Deployment, Route
from routing.tests.stage import Stage
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

        eventually(reached, within_s=60)
        return self.canary

    def answered_by(self, word: str, times: int = 30) -> bool:
        return all(word in self.ask().text for _ in range(times))


def test_a_candidate_that_fails_is_rolled_back_and_no_client_sees_it(stage: Stage) -> None:
    trying = Trying(stage, stage.shells.express)
    trying.start(trying.candidate(refuses(500)))
    canary = trying.until("rolled_back")
    last = canary.transitions.latest("at")
    exposed = len(stage.fake.received[f"{trying.model}-new"])
    print(f"rolled back after {exposed} calls of the candidate")
    assert last.why.startswith("It fails more often than the base: "), last.why
    assert exposed <= 50
    eventually(lambda: trying.answered_by("the base"))
    eventually(lambda: look_at_all() >= 0 and not CanaryCall.objects.filter(canary_id=canary.pk).exists())
