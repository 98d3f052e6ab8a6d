"""Providers that refuse, hang, die or talk nonsense, and clients that leave: what the caller and the trace then see."""

from typing import Any

import orjson
import pytest

from conftest import eventually, unique
from routing.models import Provider
from routing.tests import test_anthropic as anthropic
from routing.tests import test_bedrock as bedrock
from routing.tests.stage import CACHE, Stage
from routing.tests.upstream import (
    DONE,
    Script,
    chunk,
    completion,
    dies,
    drips,
    event,
    hangs,
    in_turn,
    refuses,
    says,
    sends,
)

BIG = 10 * 1024 * 1024


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_goes_to_the_next_candidate(base: str, stage: Stage, stream: bool) -> None:
    model = stage.route(refuses(500), says("from the second"))
    answer = stage.ask(base, model, stream=stream)
    assert answer.status_code == 200 and "from the second" in answer.text
    assert answer.headers["x-relay-model"] == f"{model}-1"
    trace = stage.trace(answer)
    assert (trace.outcome, [one["outcome"] for one in trace.attempts_json]) == ("fell_back", ["failed", "answered"])
    assert trace.attempts_json[0]["code"] == "http_500"
    assert trace.backend_latency_ms is not None and trace.tokens_out == 7


def test_who_failed_is_tried_last(base: str, stage: Stage) -> None:
    model = stage.route(refuses(503, Retry_After="60"), says("ready"))
    assert stage.ask(base, model).status_code == 200
    assert stage.ask(base, model).status_code == 200
    assert len(stage.received(model, 0)) == 1, "the second request goes to the healthy one at once"
    trace = stage.trace(stage.ask(base, model))
    assert trace.outcome == "ok"
    verdicts = {one["deployment"]: one for one in trace.plan_json["candidates"]}
    assert verdicts[f"{model}-0"]["verdict"] == "next" and "Failed lately" in verdicts[f"{model}-0"]["why"]


@pytest.mark.parametrize("stream", [False, True])
def test_who_hangs_is_left_in_time(base: str, stage: Stage, stream: bool) -> None:
    model = stage.route(hangs(), says("awake"), ttft_timeout_ms=200, total_timeout_ms=200)
    answer = stage.ask(base, model, stream=stream)
    assert answer.status_code == 200 and "awake" in answer.text
    assert stage.trace(answer).attempts_json[0]["code"] == "timeout"
    eventually(lambda: stage.fake.left[f"{model}-0"] == 1, within_s=10)


def test_who_falls_silent_in_a_stream_is_left_in_time(base: str, stage: Stage) -> None:
    model = stage.route(hangs("so", " far"), says("never asked"), idle_timeout_ms=200)
    answer = stage.ask(base, model, stream=True)
    _broke_off(answer)
    assert stage.trace(answer).error_code == "timeout"


NO_CONTENT = {
    "comments": (True, drips(b": keep-alive\n\n")),
    "bytes of one event": (True, drips(b"x")),
    "events without content": (True, drips(event(chunk({"role": "assistant", "content": ""})))),
    "bytes of a whole answer": (False, drips(b" ", content_type="application/json")),
}


@pytest.mark.parametrize(("stream", "script"), NO_CONTENT.values(), ids=NO_CONTENT)
def test_who_drips_without_content_is_left_in_time(base: str, stage: Stage, stream: bool, script: Script) -> None:
    model = stage.route(script, says("at once"), ttft_timeout_ms=300, total_timeout_ms=300)
    answer = stage.ask(base, model, stream=stream)
    assert answer.status_code == 200 and "at once" in answer.text
    assert stage.trace(answer).attempts_json[0]["code"] == "timeout"
    eventually(lambda: stage.fake.left[f"{model}-0"] == 1)


def test_who_floods_without_content_is_left_before_memory_fills(base: str, stage: Stage) -> None:
    model = stage.route(drips(event(chunk({"role": "x" * 300_000})), gap_s=0), says("at once"))
    answer = stage.ask(base, model, stream=True)
    assert answer.status_code == 200 and "at once" in answer.text
    assert stage.trace(answer).attempts_json[0]["code"] == "garbage"


def test_comments_do_not_keep_a_stream_alive(base: str, stage: Stage) -> None:
    model = stage.route(drips(event(chunk({"content": "so"})), then=b": keep-alive\n\n"), idle_timeout_ms=300)
    answer = stage.ask(base, model, stream=True)
    _broke_off(answer)
    assert stage.trace(answer).error_code == "timeout"


@pytest.mark.parametrize("code", ["connection_broken", "stream_cut", "garbage", "provider_error"])
def test_a_stream_that_breaks_ends_with_an_error(base: str, stage: Stage, code: str) -> None:
    begun = (event(chunk({"content": "so"})), event(chunk({"content": " far"})))
    broken = {
        "connection_broken": dies("so", " far"),
        "stream_cut": sends(*begun),
        "garbage": sends(*begun, b"data: oops\n\n", DONE),
        "provider_error": sends(*begun, event({"error": {"message": "sk-secret leaked"}}), DONE),
    }[code]
    model = stage.route(broken, says("never asked"), policy=CACHE)
    answer = stage.ask(base, model, stream=True)
    _broke_off(answer)
    assert "so" in answer.text and " far" in answer.text and "sk-secret" not in answer.text
    trace = stage.trace(answer)
    assert (trace.outcome, trace.error_code, trace.usage_source) == ("failed", code, "estimated")
    assert trace.tokens_out and trace.cost_microusd == trace.tokens_in + 2 * trace.tokens_out
    assert not stage.received(model, 1), "nothing is spliced on"
    assert stage.ask(base, model, stream=True).headers["x-relay-cache"] == "miss", "nor stored"


BEGINNINGS = {
    Provider.Kind.ANTHROPIC: anthropic.wire(*anthropic.events(*anthropic.words("so", " far"))[:5]),
    Provider.Kind.BEDROCK: bedrock.wire(*bedrock.events({"text": "so"}, {"text": " far"})[:3]),
}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_so_it_does_whatever_the_provider_speaks(
    base: str, stage: Stage, kind: Provider.Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_API_KEY", "AKIAEXAMPLE:secret")
    where = {"base_url": stage.fake.url, "allow_private": True, "credential_env": "OTHER_API_KEY"}
    provider = Provider.objects.create(slug=unique("other"), kind=kind, **where)
    options = {"region": "eu-west-1"} if kind == Provider.Kind.BEDROCK else {}
    scripts = sends(BEGINNINGS[kind]), says("never asked")
    model = stage.route(*scripts, provider=provider, policy=CACHE, options=options)
    answer = stage.ask(base, model, stream=True)
    _broke_off(answer)
    assert "so" in answer.text and " far" in answer.text
    trace = stage.trace(answer)
    assert (trace.outcome, trace.error_code) == ("failed", "stream_cut")
    assert trace.tokens_out and trace.cost_microusd == trace.tokens_in + 2 * trace.tokens_out
    assert not stage.received(model, 1), "nothing is spliced on"
    assert stage.ask(base, model, stream=True).headers["x-relay-cache"] == "miss", "nor stored"


def _broke_off(answer: Any) -> None:
    assert answer.status_code == 200
    assert "[DONE]" not in answer.text
    *_, last = answer.text.strip().split("\n\n")
    assert set(orjson.loads(last.removeprefix("data: "))["error"]) == {"message", "type", "param", "code"}


GARBAGE = {
    "no json": b"<html>Bad gateway</html>",
    "no object": b"[1]",
    "no choices": b'{"id": 1}',
    "empty choices": b'{"choices": []}',
    "choices of text": b'{"choices": ["x"]}',
    "not utf-8": b'{"choices": [{"message": {"content": "\xff"}}]}',
    "nothing": b"",
    "nested too deep": b'{"choices": [{"message": {"content": "x", "a":' + b"[" * 300 + b"]" * 300 + b"}}]}",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_goes_to_the_next_candidate(base: str, stage: Stage, garbage: bytes) -> None:
    model = stage.route(sends(garbage, content_type="application/json"), says("sense"))
    answer = stage.ask(base, model)
    assert answer.status_code == 200 and answer.json()["choices"][0]["message"]["content"] == "sense"
    assert stage.trace(answer).attempts_json[0]["code"] == "garbage"


def test_nothing_but_garbage_is_a_bad_gateway(base: str, stage: Stage) -> None:
    model = stage.route(sends(b"<html>", content_type="text/html"))
    answer = stage.ask(base, model)
    assert answer.status_code == 502 and answer.json()["error"]["code"] == "bad_provider_answer"
    assert "<html>" not in answer.text


DEEP = b'data: {"choices": [{"delta": {"content": "x", "a":' + b"[" * 300 + b"]" * 300 + b"}}]}\n\n"


def test_an_event_nested_too_deep_to_keep_breaks_the_stream_off(base: str, stage: Stage) -> None:
    answer = stage.ask(base, stage.route(sends(event(chunk({"content": "so"})), DEEP, DONE)), stream=True)
    assert "so" in answer.text and "[DONE]" not in answer.text and '"error"' in answer.text
    trace = stage.trace(answer)
    assert (trace.outcome, trace.usage_source) == ("failed", "estimated")


@pytest.mark.parametrize(
    "parts",
    [
        (b"data: nope\n\n", DONE),
        (DONE,),
        (),
        (b"data: 7\n\n",),
        (event({"error": "x"}),),
        (event({"choices": 7}),),
        (DEEP,),
    ],
    ids=str,
)
def test_a_stream_of_garbage_goes_to_the_next_candidate(base: str, stage: Stage, parts: tuple[bytes, ...]) -> None:
    model = stage.route(sends(*parts), says("sense"))
    answer = stage.ask(base, model, stream=True)
    assert answer.status_code == 200 and "sense" in answer.text and answer.text.endswith("[DONE]\n\n")


def test_an_event_of_ten_megabytes_is_not_taken_in(base: str, stage: Stage) -> None:
    model = stage.route(sends(b"data: " + b"x" * BIG), says("small"))
    answer = stage.ask(base, model, stream=True)
    assert answer.status_code == 200 and "small" in answer.text
    assert stage.trace(answer).attempts_json[0]["code"] == "event_too_large"


def test_an_answer_of_twenty_megabytes_is_not_taken_in(base: str, stage: Stage) -> None:
    huge = orjson.dumps(completion("x" * 2 * BIG))
    answer = stage.ask(base, stage.route(sends(huge, content_type="application/json")))
    assert answer.status_code == 502
    assert answer.json()["error"]["message"]


def test_characters_split_over_parts_stay_whole(base: str, stage: Stage) -> None:
    raw = event(chunk({"content": "grüße 😀"})) + event(chunk({}, "stop")) + DONE
    model = stage.route(sends(*(raw[at : at + 3] for at in range(0, len(raw), 3))))
    answer = stage.ask(base, model, stream=True)
    assert "grüße 😀" in answer.text and answer.text.endswith("[DONE]\n\n")
    assert stage.trace(answer).response_json["choices"][0]["message"]["content"] == "grüße 😀"


def test_when_nobody_answers_the_client_is_told_when_to_come_back(base: str, stage: Stage) -> None:
    model = stage.route(refuses(503), refuses(429, Retry_After="17"))
    answer = stage.ask(base, model)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "17"
    assert answer.json()["error"]["code"] == "providers_failed"
    trace = stage.trace(answer)
    assert (trace.outcome, len(trace.attempts_json)) == ("failed", 2)


IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}]
NO_IMAGES = {"error": {"code": 500, "message": "image input is not supported - hint: mmproj", "type": "server_error"}}


def test_what_is_beyond_one_model_goes_to_the_next(base: str, stage: Stage) -> None:
    answer = stage.ask(base, stage.route(refuses(500, NO_IMAGES), says("a cat")), messages=IMAGE)
    assert answer.json()["choices"][0]["message"]["content"] == "a cat"


def test_what_is_beyond_every_model_harms_nobody_else(base: str, stage: Stage) -> None:
    model = stage.route(in_turn([*[refuses(500, NO_IMAGES)] * 6, says("still here")]))
    for _ in range(6):
        answer = stage.ask(base, model, messages=IMAGE)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_supported")
    assert stage.ask(base, model).status_code == 200, "the breaker is closed"


def test_without_candidates_the_client_is_told_so(base: str, stage: Stage) -> None:
    answer = stage.ask(base, stage.route())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_provider")
    assert answer.headers["retry-after"] == "5"


def test_who_is_down_is_asked_again_later(base: str, stage: Stage) -> None:
    model = stage.route(in_turn([refuses(500), says("back")]))
    assert stage.ask(base, model).status_code == 503
    assert stage.ask(base, model).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("usage", [None, (0, 0), (-1, 5), (2**40, 1)], ids=str)
def test_missing_or_lying_usage_is_counted_by_relay(base: str, stage: Stage, stream: bool, usage: Any) -> None:
    answer = stage.ask(base, stage.route(says("five", " words", usage=usage)), stream=stream)
    assert answer.status_code == 200
    trace = stage.trace(answer)
    assert trace.usage_source == "estimated" and 0 < trace.tokens_out < 50


def test_who_leaves_before_the_first_token_is_not_served_on(base: str, stage: Stage) -> None:
    for stream in (False, True):
        model = stage.route(in_turn([hangs(), says("free again")]), capacity=1)
        trace = _leave(stage, base, model, stream=stream, read=False)
        assert (trace.outcome, trace.status, trace.tokens_out) == ("cancelled", 499, None)
        assert trace.attempts_json[0]["outcome"] == "cancelled"
        assert stage.ask(base, model).status_code == 200, "the slot came back"


def test_who_leaves_in_a_stream_is_billed_for_what_came(base: str, stage: Stage) -> None:
    model = stage.route(in_turn([hangs("some", " words"), says("free again")]), capacity=1, policy=CACHE)
    trace = _leave(stage, base, model, stream=True, read=True)
    assert (trace.outcome, trace.status, trace.usage_source) == ("cancelled", 499, "estimated")
    assert trace.tokens_out > 0 and trace.cost_microusd > 0
    answer = stage.ask(base, model)
    assert answer.status_code == 200, "the slot came back"
    assert answer.headers["x-relay-cache"] == "miss", "half an answer is not stored"


def test_who_leaves_the_queue_gives_the_place_back(base: str, stage: Stage) -> None:
    model = stage.route(says("slow", gap_s=1), capacity=1)
    first = stage.begin(base, model, unique("first"), stream=False)
    eventually(lambda: len(stage.received(model)) == 1)
    request_id = unique("left")
    second = stage.begin(base, model, request_id, stream=False)
    second.settimeout(0.3)
    with pytest.raises(TimeoutError):
        second.recv(1)
    second.close()
    trace = stage.trace_by(request_id=request_id)
    assert (trace.outcome, trace.attempts_json) == ("cancelled", [])
    first.close()


def _leave(stage: Stage, base: str, model: str, *, stream: bool, read: bool) -> Any:
    """The trace of a client that went away while the provider still was busy; Relay has to notice within a second."""
    request_id = unique("left")
    client = stage.begin(base, model, request_id, stream=stream)
    eventually(lambda: stage.received(model))
    received = b""
    while read and b"words" not in received:
        received += client.recv(10_000)
    client.close()
    eventually(lambda: stage.fake.left[f"{model}-0"] == 1, within_s=10)
    return stage.trace_by(request_id=request_id)


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_provider_refuses_as_wrong_goes_back_to_the_client(base: str, stage: Stage, stream: bool) -> None:
    model = stage.route(refuses(400, {"error": {"message": "No such voice.", "param": "audio"}}), says("never asked"))
    answer = stage.ask(base, model, stream=stream)
    error = answer.json()["error"]
    assert (answer.status_code, error["message"], error["param"]) == (400, "No such voice.", "audio")
    assert not stage.received(model, 1)
    assert stage.trace(answer).outcome == "rejected"


def test_usage_that_comes_by_itself_is_billed_and_not_passed_on(base: str, stage: Stage) -> None:
    usage = event(completion("") | {"choices": []})
    model = stage.route(sends(event(chunk({"content": "so"}, "stop")), usage, DONE))
    answer = stage.ask(base, model, stream=True)
    assert answer.text.endswith("data: [DONE]\n\n") and "usage" not in answer.text
    assert stage.trace(answer).usage_source == "provider"
