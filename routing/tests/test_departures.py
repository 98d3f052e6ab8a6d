"""Clients that leave at any point of a request: the upstream stops, the slot comes back, the bill is right and one."""

from typing import Any

import pytest

from conftest import eventually, unique
from routing.tests.stage import Stage
from routing.tests.upstream import Script, chunk, event, hangs, refuses, says, stalls

WITHIN_S = 1.0 * 4  # the promise, and room for a busy machine
SAID = event(chunk({"content": "some words "}))
ENDED = event(chunk({}, "stop"))
USED = event({**chunk({}), "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})

# name -> stream, the provider's bytes before it stalls, what the client reads before it leaves, tokens billed
POINTS: dict[str, tuple[bool, Script, bytes, int | None]] = {
    "before the head": (True, hangs(), b"", 0),
    "after the head": (True, stalls(), b"", 0),
    "after a comment": (True, stalls(b": keep-alive\n\n"), b"", 0),
    "within the first event": (True, stalls(b'data: {"choices": [{"del'), b"", 0),
    "before the content": (True, stalls(event(chunk({"role": "assistant"}))), b"", 0),
    "after the first content": (True, stalls(SAID), b"some words", None),
    "within a later event": (True, stalls(SAID, SAID, b"data: {"), b"some words", None),
    "after the end of the text": (True, stalls(SAID, ENDED), b'"stop"', None),
    "before the last line": (True, stalls(SAID, ENDED, USED), b'"stop"', 5),
    "before a whole answer": (False, hangs(), b"", 0),
    "within a whole answer": (False, stalls(b'{"choices": [', content_type="application/json"), b"", 0),
}


@pytest.mark.parametrize("point", POINTS)
def test_who_leaves_costs_what_came_and_holds_nothing(base: str, stage: Stage, point: str) -> None:
    stream, script, read, tokens = POINTS[point]
    model = stage.route(says("free"), capacity=1)
    _, key = stage.new_key({"metric": "tokens", "window": "month", "limit": 100_000})
    before = _tokens_left(stage, base, model, key)
    stage.fake.scripts[f"{model}-0"] = script
    trace = _leave(stage, base, model, key, stream=stream, read=read)
    assert (trace.outcome, trace.status) == ("cancelled", 499)
    billed = (trace.tokens_in or 0) + (trace.tokens_out or 0)
    assert billed == tokens if tokens is not None else billed > 0
    stage.fake.scripts[f"{model}-0"] = says("free")
    assert _tokens_left(stage, base, model, key) == before - 12 - billed, "12 are of the request before"


def test_who_leaves_while_the_second_is_asked_stops_that_one(base: str, stage: Stage) -> None:
    model = stage.route(refuses(500), stalls())
    trace = _leave(stage, base, model, stage.key(), stream=True, read=b"", candidate=1)
    assert [one["outcome"] for one in trace.attempts_json] == ["failed", "cancelled"]


def _tokens_left(stage: Stage, base: str, model: str, key: str) -> int:
    answer = stage.ask(base, model, key=key)
    assert answer.status_code == 200, "the slot came back"
    stage.trace(answer)  # it is settled
    return int(answer.headers["x-ratelimit-remaining-tokens"])


def _leave(stage: Stage, base: str, model: str, key: str, *, stream: bool, read: bytes, candidate: int = 0) -> Any:
    request_id, received, asked = unique("left"), b"", len(stage.received(model, candidate))
    client = stage.begin(base, model, request_id, stream=stream, key=key)
    eventually(lambda: len(stage.received(model, candidate)) > asked)
    while read not in received:
        received += client.recv(10_000)
    client.close()
    eventually(lambda: stage.fake.left[f"{model}-{candidate}"] == 1, within_s=WITHIN_S)
    return stage.trace_by(request_id=request_id)


@pytest.mark.parametrize("stream", [True, False])
def test_who_asked_for_it_finds_the_answer_when_coming_back(base: str, stage: Stage, stream: bool) -> None:
    """A job that was killed and begins again: one call, one charge, the same answer."""
    model = stage.route(says("patience ", "pays", gap_s=0.3))
    name, first = unique("job"), unique("left")
    wanted = {"Idempotency-Key": name, "x-relay-departure": "finish"}
    client = stage.begin(base, model, first, stream=stream, headers=wanted)
    eventually(lambda: stage.received(model))
    client.close()
    assert stage.trace_by(request_id=first).outcome == "ok"
    again = stage.ask(base, model, stream=stream, headers=wanted)
    assert "pays" in again.text and again.headers["x-relay-cache"] == "replay"
    assert len(stage.received(model)) == 1 and not stage.fake.left[f"{model}-0"]


def test_a_refusal_of_a_request_that_would_be_finished(base: str, stage: Stage) -> None:
    model = stage.route(refuses(400))
    headers = {"Idempotency-Key": unique("job"), "x-relay-departure": "finish"}
    assert stage.ask(base, model, headers=headers).status_code == 400
    assert stage.ask(base, unique("none"), headers=headers).status_code == 404
