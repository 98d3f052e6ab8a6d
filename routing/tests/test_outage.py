"""Providers that are down for longer: left alone, probed, found again; and nobody else's requests suffer for it."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from conftest import eventually, unique
from relay_project.embedded.ports import free_port
from routing.models import Deployment, Provider, Route, RouteCandidate
from routing.tests.stage import Stage
from routing.tests.upstream import dies, hangs, in_turn, refuses, says
from tenants.models import Tenant

REFUSED_WITHIN_S = 0.25 * 4  # the promise, and room for a busy machine
AT_ONCE_S = 0.1 * 4
BACK_WITHIN_S = 5.0 * 4


def steps(trace: Any, step: str) -> list[tuple[str, str]]:
    return [(one["subject"], one["outcome"]) for one in trace.decision_trace_json if one["step"] == step]


def unplug(model: str, candidate: int = 0) -> None:
    """From now on nothing listens where this deployment is, as after a crash."""
    move(model, candidate, f"http://127.0.0.1:{free_port()}/v1")


def move(model: str, candidate: int, base_url: str) -> None:
    deployment = Deployment.objects.get(slug=f"{model}-{candidate}")
    deployment.provider = Provider.objects.create(
        slug=unique("elsewhere"), name="Elsewhere", base_url=base_url, allow_private=True
    )
    deployment.save()


def first_answer_of_the_second(stage: Stage, base: str, model: str) -> Any:
    """The trace of the request that found the first candidate gone, as soon as this server knows the new address."""

    def second_answers() -> Any:
        answer = stage.ask(base, model)
        assert answer.status_code == 200
        return answer if answer.headers["x-relay-model"] == f"{model}-1" else None

    return stage.trace(eventually(second_answers))


def test_who_refuses_connections_is_passed_over_while_the_next_answers(base: str, stage: Stage) -> None:
    model = stage.route(says("nobody hears it"), says("from the second"))
    unplug(model)
    first_answer_of_the_second(stage, base, model)

    def passed_over() -> Any:
        started = time.monotonic()
        answer = stage.ask(base, model)
        assert time.monotonic() - started < REFUSED_WITHIN_S
        assert answer.status_code == 200 and answer.headers["x-relay-model"] == f"{model}-1"
        trace = stage.trace(answer)
        return trace if trace.outcome == "ok" else None  # else it was the probe

    trace = eventually(passed_over)
    verdict = next(one for one in trace.plan_json["candidates"] if one["deployment"] == f"{model}-0")
    assert "Failed lately (connection_failed)" in verdict["why"]


def test_the_request_that_finds_out_is_answered_by_the_next(base: str, stage: Stage) -> None:
    model = stage.route(says("first"), says("second"), connect_timeout_ms=500)
    unplug(model)
    found = first_answer_of_the_second(stage, base, model)
    assert found.outcome == "fell_back"
    assert [one["code"] for one in found.attempts_json] == ["connection_failed", None]
    assert found.attempts_json[0]["breaker"] == "closed"
    assert not steps(found, "retry budget")


def test_who_does_not_take_the_connection_is_left_in_time(base: str, stage: Stage) -> None:
    model = stage.route(says("first"), says("second"), connect_timeout_ms=200)
    with full_backlog() as address:
        move(model, 0, f"http://{address}/v1")
        found = first_answer_of_the_second(stage, base, model)
    assert found.attempts_json[0]["code"] == "connection_failed"
    assert found.attempts_json[0]["duration_ms"] >= 200


@contextmanager
def full_backlog() -> Iterator[str]:
    """A port that takes no more connections and refuses none: the way of a host that drops packets."""
    with ExitStack() as sockets:
        server = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            client = sockets.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_with_everybody_down_the_answer_comes_at_once_and_says_when_to_come_back(base: str, stage: Stage) -> None:
    model = stage.route(refuses(503, Retry_After="30"), refuses(503, Retry_After="40"))
    assert stage.ask(base, model).json()["error"]["code"] == "providers_failed"
    started = time.monotonic()
    answer = stage.ask(base, model)
    assert time.monotonic() - started < AT_ONCE_S
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "providers_resting")
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert len(stage.received(model, 0)) == len(stage.received(model, 1)) == 1
    trace = stage.trace(answer)
    assert (trace.outcome, trace.status, trace.attempts_json) == ("failed", 503, [])
    assert set(steps(trace, "breaker")) == {(f"{model}-0", "passed over"), (f"{model}-1", "passed over")}


def test_after_an_outage_it_is_back_soon_and_was_not_stormed_meanwhile(base: str, stage: Stage) -> None:
    model = stage.route(refuses(500))
    asked, started = 0, time.monotonic()
    while time.monotonic() - started < 4:
        answers = stage.ask_together(base, model, 10)
        assert {answer.status_code for answer in answers} == {503}
        asked += len(answers)
    lasted = time.monotonic() - started
    probes = len(stage.received(model))
    assert probes <= 10 + 2 * lasted, f"of {asked}: the first ten may reach it, then a probe each half second at most"
    stage.fake.scripts[f"{model}-0"] = says("back")
    answer = eventually(lambda: _good(stage.ask(base, model)), within_s=BACK_WITHIN_S)
    trace = stage.trace(answer)
    assert trace.attempts_json[0]["breaker"] == "half_open"
    assert (f"{model}-0", "half_open") in steps(trace, "breaker")
    assert stage.ask(base, model).status_code == 200, "closed"


def _good(answer: Any) -> Any:
    return answer if answer.status_code == 200 else None


@pytest.mark.parametrize("told", ["60", "59.5", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_after_too_many_requests_it_rests_for_as_long_as_it_said(base: str, stage: Stage, told: str) -> None:
    model = stage.route(refuses(429, Retry_After=told), says("not limited"))
    first, second = stage.ask(base, model), stage.ask(base, model)
    assert first.status_code == second.status_code == 200
    assert len(stage.received(model, 0)) == 1
    trace = stage.trace(second)
    verdict = next(one for one in trace.plan_json["candidates"] if one["deployment"] == f"{model}-0")
    assert "limits the rate" in verdict["why"]
    assert trace.outcome == "ok"


def test_a_retry_after_that_cannot_be_read_is_as_none(base: str, stage: Stage) -> None:
    model = stage.route(refuses(429, Retry_After="soon"), says("not limited"))
    assert stage.ask(base, model).status_code == 200
    assert stage.ask(base, model).status_code == 200
    assert len(stage.received(model, 0)) == 1, "it rests for a while of our own"


def test_streams_that_die_after_content_open_the_breaker(base: str, stage: Stage) -> None:
    model = stage.route(dies("some", " words"), says("whole"))
    for _ in range(5):
        answer = stage.ask(base, model, stream=True)
        assert "[DONE]" not in answer.text and answer.headers["x-relay-model"] == f"{model}-0"
    answer = stage.ask(base, model, stream=True)
    assert answer.headers["x-relay-model"] == f"{model}-1" and answer.text.endswith("[DONE]\n\n")


def test_wrong_requests_open_no_breaker(base: str, stage: Stage) -> None:
    model = stage.route(in_turn([*[refuses(400)] * 6, says("fine")]))
    assert {stage.ask(base, model).status_code for _ in range(6)} == {400}
    assert stage.ask(base, model).status_code == 200


def test_who_waits_for_a_slot_of_one_that_goes_down_is_sent_on(base: str, stage: Stage) -> None:
    """They would all try it in vain, one after the other."""
    model = stage.route(hangs(), says("from the second"), ttft_timeout_ms=300, total_timeout_ms=300, capacity=1)
    answers = stage.ask_together(base, model, 12)
    assert {answer.status_code for answer in answers} == {200}
    assert len(stage.received(model, 0)) < 12
    traces = [stage.trace(answer) for answer in answers]
    assert any((f"{model}-0", "passed over") in steps(trace, "breaker") for trace in traces)


def test_what_a_provider_says_to_one_tenant_is_told_to_no_other(base: str, stage: Stage, tenant_b: Tenant) -> None:
    """Health is shared by all tenants, so it holds codes only."""
    secret = "the prompt of acme"
    model = stage.route(refuses(503, {"error": {"message": secret}}, Retry_After="60"), says("fine"))
    theirs = stage.route(says("theirs"), tenant=tenant_b)
    shared = Deployment.objects.get(slug=f"{model}-0")
    RouteCandidate.objects.create(route=Route.objects.get(name=theirs, tenant=tenant_b), deployment=shared, position=0)
    assert stage.ask(base, model, secret).status_code == 200
    trace = eventually(lambda: _told_of(stage, base, theirs, shared.slug, tenant_b))
    seen = str([trace.plan_json, trace.decision_trace_json, trace.attempts_json])
    assert "Failed lately (http_503)" in seen
    assert secret not in seen and stage.tenant.slug not in seen


def _told_of(stage: Stage, base: str, model: str, deployment: str, tenant: Tenant) -> Any:
    trace = stage.trace(stage.ask(base, model, key=stage.key(tenant)), tenant)
    return trace if deployment in str(trace.plan_json) else None
