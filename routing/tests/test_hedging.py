"""Two candidates asked at once: the faster answers; slots, upstreams and money are right in every order of events."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from django.db import transaction

from conftest import eventually, unique
from routing.hedging import Race
from routing.models import Deployment, Route, RouteCandidate
from routing.providers.base import ProviderError
from routing.tests.stage import Stage
from routing.tests.upstream import Script, dies, hangs, later, refuses, says


def slow(*words: str) -> Script:
    return says(*words, gap_s=3)


def hedging(stage: Stage, *scripts: Script, **deployment: Any) -> str:
    return stage.route(*scripts, **{"hedge_after_ms": 100, "capacity": 1} | deployment)


def attempts(trace: Any) -> dict[str, tuple[str, bool]]:
    return {one["deployment"][-1]: (one["outcome"], one["hedge"]) for one in trace.attempts_json}


def outcomes(trace: Any) -> list[tuple[str, str]]:
    return [(one["subject"][-1], one["outcome"]) for one in trace.decision_trace_json if one["step"] == "hedge"]


def everything_came_back(stage: Stage, base: str, model: str) -> None:
    """The slots of both: their capacity is 1."""
    stage.fake.scripts[f"{model}-0"] = stage.fake.scripts[f"{model}-1"] = says("free")
    for answer in stage.ask_together(base, model, 2):
        assert answer.status_code == 200
    eventually(lambda: not stage.fake.running[f"{model}-0"] and not stage.fake.running[f"{model}-1"])


@pytest.mark.parametrize("stream", [False, True])
def test_who_is_slow_is_overtaken_and_told_to_stop(base: str, stage: Stage, stream: bool) -> None:
    model = hedging(stage, slow("never"), says("fast"))
    answer = stage.ask(base, model, stream=stream)
    assert answer.status_code == 200 and "fast" in answer.text and "never" not in answer.text
    assert answer.headers["x-relay-model"] == f"{model}-1"
    eventually(lambda: stage.fake.left[f"{model}-0"] == 1, within_s=4)
    trace = stage.trace(answer)
    assert attempts(trace) == {"0": ("cancelled", False), "1": ("answered", True)}
    assert outcomes(trace) == [("0", "slow"), ("1", "asked as well")]
    assert (trace.outcome, trace.model) == ("ok", f"{model}-1")
    read = trace.plan_json["features"]["input_tokens"]
    lost = next(one for one in trace.attempts_json if one["outcome"] == "cancelled")
    assert lost["charged"] == {"requests": 1, "tokens": read, "cost": read, "neurons": 0}
    assert trace.cost_microusd == trace.tokens_in + 2 * trace.tokens_out + read
    everything_came_back(stage, base, model)


@pytest.mark.parametrize("stream", [False, True])
def test_the_first_may_still_win(base: str, stage: Stage, stream: bool) -> None:
    model = hedging(stage, says("first", gap_s=0.5), hangs())
    answer = stage.ask(base, model, stream=stream)
    assert answer.headers["x-relay-model"] == f"{model}-0" and "first" in answer.text
    eventually(lambda: stage.fake.left[f"{model}-1"] == 1, within_s=4)
    trace = stage.trace(answer)
    assert attempts(trace) == {"0": ("answered", False), "1": ("cancelled", True)}
    assert (trace.outcome, trace.scheduler_json["pool"]) == ("ok", f"{model}-0")
    everything_came_back(stage, base, model)


def test_who_is_fast_enough_has_no_rival(base: str, stage: Stage) -> None:
    model = hedging(stage, says("first"), says("never asked"), hedge_after_ms=5_000)
    assert stage.ask(base, model).status_code == 200
    assert not stage.received(model, 1)


RACES = {
    "the rival dies": (says("first", gap_s=1), refuses(500), "first", "ok"),
    "the first dies before there is a rival": (refuses(500), says("second"), "second", "fell_back"),
    "the first dies while its rival runs": (later(0.3, refuses(500)), says("second", gap_s=1), "second", "fell_back"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("first", "second", "said", "outcome"), RACES.values(), ids=RACES)
def test_who_dies_leaves_the_race_to_the_other(
    base: str, stage: Stage, stream: bool, first: Script, second: Script, said: str, outcome: str
) -> None:
    model = hedging(stage, first, second)
    answer = stage.ask(base, model, stream=stream)
    assert answer.status_code == 200 and said in answer.text
    trace = stage.trace(answer)
    assert trace.outcome == outcome
    assert sorted(one["outcome"] for one in trace.attempts_json) == ["answered", "failed"]
    everything_came_back(stage, base, model)


def test_when_both_die_the_third_is_asked(base: str, stage: Stage) -> None:
    model = hedging(stage, later(0.4, refuses(500)), later(0.2, refuses(500)), says("third"))
    answer = stage.ask(base, model)
    assert answer.status_code == 200 and "third" in answer.text
    assert attempts(stage.trace(answer)) == {"0": ("failed", False), "1": ("failed", True), "2": ("answered", False)}
    everything_came_back(stage, base, model)


def test_a_request_that_one_of_them_finds_wrong_waits_for_nobody(base: str, stage: Stage) -> None:
    model = hedging(stage, hangs(), refuses(400))
    assert stage.ask(base, model).status_code == 400
    eventually(lambda: stage.fake.left[f"{model}-0"] == 1, within_s=4)
    everything_came_back(stage, base, model)


def test_a_winner_that_breaks_off_is_not_replaced(base: str, stage: Stage) -> None:
    model = hedging(stage, hangs(), dies("some", " words"))
    answer = stage.ask(base, model, stream=True)
    assert answer.status_code == 200 and "[DONE]" not in answer.text
    trace = stage.trace(answer)
    assert (trace.outcome, attempts(trace)["1"]) == ("failed", ("failed", True))
    everything_came_back(stage, base, model)


def test_a_rival_without_a_free_slot_is_not_waited_for(base: str, stage: Stage) -> None:
    model = hedging(stage, says("first", gap_s=1), hangs())
    direct = unique("direct")
    with transaction.atomic():
        route = Route.objects.create(tenant=stage.tenant, name=direct, policy=stage.tenant.policies.get(slug=model))
        RouteCandidate.objects.create(route=route, deployment=Deployment.objects.get(slug=f"{model}-1"))
    stage.in_both(lambda base: direct in stage.models(base, stage.key()).text)
    busy = stage.begin(base, direct, unique("busy"), stream=False)
    eventually(lambda: stage.received(model, 1))
    answer = stage.ask(base, model)
    assert answer.status_code == 200 and "first" in answer.text
    trace = stage.trace(answer)
    assert attempts(trace) == {"0": ("answered", False)}
    assert (f"{model}-1", "refused") in [(one["subject"], one["outcome"]) for one in trace.decision_trace_json]
    busy.close()
    everything_came_back(stage, base, model)


def test_a_rival_that_is_left_alone_for_now_is_not_asked(base: str, stage: Stage) -> None:
    model = hedging(stage, says("first", gap_s=0.5), refuses(503, Retry_After="60"))
    assert attempts(stage.trace(stage.ask(base, model)))["1"] == ("failed", True)
    answer = stage.ask(base, model)
    assert answer.status_code == 200
    assert attempts(stage.trace(answer)) == {"0": ("answered", False)}
    assert len(stage.received(model, 1)) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_stops_both(base: str, stage: Stage, stream: bool) -> None:
    model = hedging(stage, hangs(), hangs())
    request_id, left = unique("left"), stage.fake.left
    client = stage.begin(base, model, request_id, stream=stream)
    eventually(lambda: stage.received(model, 1))
    client.close()
    eventually(lambda: left[f"{model}-0"] == left[f"{model}-1"] == 1, within_s=4)
    trace = stage.trace_by(request_id=request_id)
    assert trace.outcome == "cancelled" and trace.cost_microusd == 0
    assert attempts(trace) == {"0": ("cancelled", False), "1": ("cancelled", True)}
    everything_came_back(stage, base, model)


class Runner:
    """A candidate that gives content or dies when the test says so, and notes that it was closed."""

    def __init__(self) -> None:
        self._heard: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self.closed = 0

    async def groups(self) -> AsyncGenerator[list[bytes], None]:
        try:
            yield await self._heard
            yield [b"more"]
        finally:
            self.closed += 1

    def happens(self, what: str) -> None:
        if self._heard.done():
            return  # it was told to stop
        if what == "content":
            self._heard.set_result([b"content"])
        elif what == "dies":
            self._heard.set_exception(ProviderError("gone", code="http_500"))


async def raced(runners: Sequence[Runner], running: asyncio.Event) -> int:
    """The winner's number, once its stream has ended."""
    async with Race[int]() as race:
        for number, runner in enumerate(runners):
            race.enter(number, runner.groups())
        assert not await race.over(0)
        running.set()
        winner, groups, events = await race.winner()
    assert [events, *[group async for group in groups]] == [[b"content"], [b"more"]]
    return winner


EVENTS = ["content", "dies", "nothing"]


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("one", EVENTS)
@pytest.mark.parametrize("other", EVENTS)
async def test_in_every_order_of_events_no_runner_is_left(
    one: str, other: str, order: tuple[int, int], together: bool
) -> None:
    runners, what, running = [Runner(), Runner()], (one, other), asyncio.Event()
    request = asyncio.create_task(raced(runners, running))
    await running.wait()
    for number in order:
        runners[number].happens(what[number])
        for _ in range(0 if together else 10):
            await asyncio.sleep(0)
    if "content" in what:
        assert what[await request] == "content"
    elif what == ("dies", "dies"):
        with pytest.raises(ProviderError):
            await request
    else:
        request.cancel()  # the client leaves
        with pytest.raises(asyncio.CancelledError):
            await request
    assert [runner.closed for runner in runners] == [1, 1]
