"""The OpenAI-compatible adapter and what all adapters share of HTTP, against a server that misbehaves."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest

from relay_project.embedded.ports import free_port
from routing.providers.base import MAX_ANSWER_BYTES, ProviderError, Target
from routing.providers.openai_compatible import OpenAICompatible
from routing.providers.outlet import Outlet
from routing.tests.model_server import ModelServer, collect, serving

PAYLOAD = {"model": "model-x", "messages": [{"role": "user", "content": "Hello"}], "seed": 7}
ANSWER = {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": {"content": "Hi"}}]}
EVENTS = [{"id": "1", "choices": [{"index": 0, "delta": {"content": word}}]} for word in ("é", "😀", "!")]
WIRE = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in EVENTS) + b"data: [DONE]\n\n"


async def ask(server: ModelServer, *, stream: bool = False, payload: Any = PAYLOAD, **target: Any) -> list[Any]:
    async with serving(server, **target) as (outlet, where):
        return await collect(OpenAICompatible(outlet), where, payload, stream=stream)


async def failure(server: ModelServer, *, stream: bool = False, **more: Any) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        await ask(server, stream=stream, **more)
    assert "sk-secret" not in f"{failed.value} {failed.value.__cause__!r}"
    return failed.value


async def test_a_whole_answer_passes_unchanged_and_the_credential_goes_with_the_request() -> None:
    server = ModelServer(parts=[orjson.dumps(ANSWER)])
    assert await ask(server, credential="sk-secret") == [ANSWER]
    assert server.asked == [PAYLOAD]
    assert server.paths == ["/chat/completions"]
    assert server.sent_headers[0]["Authorization"] == "Bearer sk-secret"


async def test_without_a_credential_none_is_sent() -> None:
    server = ModelServer(parts=[orjson.dumps(ANSWER)])
    await ask(server)
    assert "Authorization" not in server.sent_headers[0]


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_stream_passes_whole_wherever_it_is_cut_into_packets(size: int) -> None:
    parts = [WIRE[start : start + size] for start in range(0, len(WIRE), size)]
    server = ModelServer(parts=parts)
    assert await ask(server, stream=True, payload={**PAYLOAD, "stream_options": {"x": 1}}) == EVENTS
    assert server.asked[0]["stream_options"] == {"x": 1, "include_usage": True}


async def test_nothing_after_done_is_passed_on() -> None:
    assert await ask(ModelServer(parts=[b"data: [DONE]\n\ndata: {}\n\n"]), stream=True) == []
    assert await ask(ModelServer(parts=[WIRE + b"data: {}\n\n"]), stream=True) == EVENTS


@pytest.mark.parametrize("parts", [[WIRE[:-20]], []])
async def test_a_stream_without_its_end_is_cut(parts: Sequence[bytes]) -> None:
    assert (await failure(ModelServer(parts=parts), stream=True)).code == "stream_cut"


async def test_a_connection_that_breaks_in_the_middle_is_a_failure() -> None:
    server = ModelServer(parts=[WIRE[:30]], cut=True)
    error = await failure(server, stream=True)
    assert (error.code, error.retryable) == ("connection_broken", True)
    server = ModelServer(parts=[b'{"choices'], cut=True, headers={"Content-Length": "500"})
    assert (await failure(server)).code == "connection_broken"


async def test_a_line_of_ten_megabytes_is_given_up_early() -> None:
    server = ModelServer(parts=[b"data: ", *[b"x" * 65_536] * 160])
    assert (await failure(server, stream=True)).code == "event_too_large"


async def test_an_answer_without_end_is_given_up() -> None:
    server = ModelServer(parts=[b"x" * 1024 * 1024] * (MAX_ANSWER_BYTES // 1024**2 + 1))
    error = await failure(server)
    assert (error.code, error.retryable) == ("answer_too_large", True)


async def test_a_refused_connection_is_said_at_once() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with aclosing(Outlet()) as outlet:
        target = Target("d", "p", "kind", "m", url, credential="sk-secret", allow_private=True)
        with pytest.raises(ProviderError) as failed:
            await collect(OpenAICompatible(outlet), target, PAYLOAD, stream=False)
    assert (failed.value.code, failed.value.retryable) == ("connection_failed", True)


@pytest.mark.parametrize(
    ("status", "body", "message", "param"),
    [
        (400, {"error": {"message": "Bad seed.", "param": "seed"}}, "Bad seed.", "seed"),
        (422, {"message": "Bad seed.", "param": 5}, "Bad seed.", None),
        (413, {"error": "Too long."}, "Too long.", None),
        (400, ["x"], "The provider refused the request.", None),
        (400, {"error": {"message": {}}}, "The provider refused the request.", None),
        (415, {"error": 5}, "The provider refused the request.", None),
    ],
)
async def test_a_request_that_the_provider_refuses_is_the_clients_mistake(
    status: int, body: Any, message: str, param: str | None
) -> None:
    error = await failure(ModelServer(status=status, parts=[orjson.dumps(body)]))
    assert (str(error), error.param, error.status) == (message, param, status)
    assert not error.retryable


async def test_a_refusal_that_is_not_json_shows_nothing_of_it() -> None:
    error = await failure(ModelServer(status=400, parts=[b"<html>internal host 10.0.0.1"]))
    assert str(error) == "The provider refused the request."


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("9" * 12, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 9999 07:28:00 GMT", None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
    ],
)
async def test_too_many_requests_says_when_to_come_back(header: str, seconds: float | None) -> None:
    error = await failure(ModelServer(status=429, headers={"Retry-After": header}), stream=True)
    assert (error.code, error.retryable, error.retry_after_s) == ("http_429", True, seconds)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
async def test_the_providers_own_trouble_lets_another_try_and_hides_its_words(status: int) -> None:
    error = await failure(ModelServer(status=status, parts=[b'{"error": "key sk-secret is wrong"}']))
    assert (str(error), error.retryable) == (f"Answered {status}.", True)


async def test_llama_cpps_500_for_a_wrong_request_is_the_clients_mistake() -> None:
    said = b'{"error": {"code": 500, "message": "Failed to parse tools: Missing tool type: 5", "type": "server_error"}}'
    error = await failure(ModelServer(status=500, parts=[said]))
    assert (str(error), error.retryable, error.status) == ("Failed to parse tools: Missing tool type: 5", False, 400)


async def test_too_many_requests_may_name_the_moment_to_come_back() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    error = await failure(ModelServer(status=429, headers={"Retry-After": moment}))
    assert error.retry_after_s is not None
    assert 0 < error.retry_after_s <= 100


async def test_a_provider_that_quotes_the_credential_is_not_quoted() -> None:
    error = await failure(
        ModelServer(status=400, parts=[b'{"error": "Key sk-secret is odd."}']), credential="sk-secret"
    )
    assert str(error) == "Key … is odd."


async def test_a_redirect_is_not_followed() -> None:
    elsewhere = ModelServer(parts=[orjson.dumps(ANSWER)])
    async with serving(elsewhere) as (_, there):
        server = ModelServer(status=307, headers={"Location": there.base_url})
        error = await failure(server, credential="sk-secret")
    assert error.code == "http_307"
    assert elsewhere.asked == []


async def test_what_cannot_be_written_is_not_sent() -> None:
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    server = ModelServer()
    error = await failure(server, payload={**PAYLOAD, "x": deep})
    assert (error.status, error.retryable) == (400, False)
    assert server.asked == []


async def test_bytes_that_are_not_http_are_a_broken_connection() -> None:
    server = ModelServer(headers={"X-Long": "x" * 20_000})
    assert (await failure(server)).code == "connection_broken"


def test_a_target_does_not_show_its_credential() -> None:
    assert "sk-secret" not in repr(Target("d", "p", "k", "m", "u", credential="sk-secret"))
