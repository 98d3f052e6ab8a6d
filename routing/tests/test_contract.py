"""The contract that clients see, kept by both shells: OpenAI's own client gets what it expects."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from routing.tests.stage import Stage
from routing.tests.upstream import dies, hears, in_turn, refuses, says

HELLO: list[Any] = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(base: str, stage: Stage) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{base}/v1", api_key=stage.key(), max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def model(stage: Stage) -> str:
    return stage.route(says("hello", " there"))


def test_an_answer(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=HELLO)
    assert answer.choices[0].message.content == "hello there"
    assert answer.usage and answer.usage.total_tokens == 12


def test_the_mock_of_the_seed_answers(client: openai.OpenAI) -> None:
    answer = client.with_options(max_retries=3).chat.completions.create(model="mock", messages=HELLO)
    assert answer.choices[0].message.content


def test_a_stream_without_usage(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream:
        chunks = list(stream)
    assert "".join(one.choices[0].delta.content or "" for one in chunks) == "hello there"
    assert all(one.usage is None for one in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_with_usage(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens == 7


async def test_the_async_client(base: str, stage: Stage, model: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=stage.key(), max_retries=0) as client:
        answer = await client.chat.completions.create(model=model, messages=HELLO)
        assert answer.choices[0].message.content == "hello there"
        async with await client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream:
            said = [one.choices[0].delta.content or "" async for one in stream]
        assert "".join(said) == "hello there"


def test_what_relay_does_not_interpret_reaches_the_provider(client: openai.OpenAI, stage: Stage, model: str) -> None:
    tools: list[Any] = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]
    unknown = {"mirostat": 2, "nested": {"deep": [1, None, "ä"]}}
    client.chat.completions.create(
        model=model, messages=HELLO, tools=tools, seed=7, temperature=0.5, max_tokens=9, extra_body=unknown
    )
    received = stage.received(model)[-1]
    assert received["tools"] == tools and received["seed"] == 7 and received["temperature"] == 0.5
    assert {name: received[name] for name in unknown} == unknown
    assert received["max_tokens"] == 9 and received["messages"] == HELLO
    assert "stream_options" not in received


def test_a_limit_is_sent_under_the_name_that_the_client_used(client: openai.OpenAI, stage: Stage, model: str) -> None:
    client.chat.completions.create(model=model, messages=HELLO, max_completion_tokens=1000)
    received = stage.received(model)[-1]
    assert received["max_completion_tokens"] == 64, "the policy's limit"
    assert "max_tokens" not in received


def test_a_request_with_tools_comes_through(client: openai.OpenAI, stage: Stage) -> None:
    model = stage.route(says("it is noon", finish="tool_calls"))
    answer = client.chat.completions.create(model=model, messages=HELLO)
    assert answer.choices[0].finish_reason == "tool_calls"


def test_models_are_listed(client: openai.OpenAI, model: str) -> None:
    listed = {one.id: one for one in client.models.list()}
    assert listed[model].owned_by == "acme"
    assert listed["mock"].owned_by == "relay"
    assert client.models.retrieve(model) == listed[model]
    for unknown in ("nothing", "a/b", "../admin"):
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve(unknown)
        assert caught.value.code == "model_not_found"


def test_wrong_keys_are_authentication_errors(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key="sk-relay-wrong").chat.completions.create(model=model, messages=HELLO)
    assert caught.value.code == "invalid_api_key"


def test_another_tenants_name_is_a_permission_error(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client.chat.completions.create(model=model, messages=HELLO, extra_headers={"X-Tenant-Id": "globex"})
    assert caught.value.param == "X-Tenant-Id"


def test_a_key_without_the_scope_is_a_permission_error(client: openai.OpenAI, stage: Stage, model: str) -> None:
    _, key = stage.new_key(scopes=["models"])
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client.with_options(api_key=key).chat.completions.create(model=model, messages=HELLO)
    assert caught.value.code == "missing_scope"


def test_an_unknown_model_is_a_not_found_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=HELLO)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_what_the_provider_refuses_is_a_bad_request_in_its_own_words(client: openai.OpenAI, stage: Stage) -> None:
    said = {"error": {"message": "temperature is too hot", "param": "temperature"}}
    model = stage.route(refuses(400, said), says("never asked"))
    with pytest.raises(openai.BadRequestError, match="too hot") as caught:
        client.chat.completions.create(model=model, messages=HELLO)
    assert caught.value.param == "temperature"
    assert not stage.received(model, 1), "another candidate would refuse it, too"


def test_a_prompt_that_fits_no_candidate_is_a_bad_request(client: openai.OpenAI, stage: Stage) -> None:
    model = stage.route(says("hi"), context_window=100)
    long: list[Any] = [{"role": "user", "content": "word " * 500}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model, messages=long)
    assert caught.value.code == "context_length_exceeded"


def test_a_spent_minute_is_a_rate_limit_error(client: openai.OpenAI, stage: Stage, model: str) -> None:
    _, key = stage.new_key(quota={"metric": "requests", "window": "minute", "limit": 1})
    eager = client.with_options(api_key=key)
    with pytest.raises(openai.RateLimitError) as caught:
        for _ in range(3):  # the minute may end between two of them
            eager.chat.completions.create(model=model, messages=HELLO)
    assert caught.value.code == "rate_limit_exceeded"
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 61


def test_the_client_retries_when_told_to(client: openai.OpenAI, stage: Stage) -> None:
    model = stage.route(in_turn([refuses(429, Retry_After="1"), says("at last")]))
    answer = client.with_options(max_retries=2).chat.completions.create(model=model, messages=HELLO)
    assert answer.choices[0].message.content == "at last"
    assert len(stage.received(model)) == 2


def test_every_answer_says_how_it_was_made(base: str, stage: Stage, model: str) -> None:
    for stream in (False, True):
        headers = stage.ask(base, model, stream=stream).headers
        assert headers["x-relay-cache"] == "miss"
        assert headers["x-relay-policy"] == f"{model}@1"
        assert headers["x-relay-model"] == f"{model}-0"
        assert headers["x-relay-provider"].startswith("fake-")
        assert headers["x-relay-lane"] == "short"
        assert float(headers["x-relay-queue-ms"]) >= 0 and float(headers["x-relay-overhead-ms"]) >= 0
        assert headers["x-relay-trace-id"] and headers["x-request-id"].startswith("req-")


@pytest.mark.parametrize("harmless", ["abc-123", "A" * 128, "trace:1.2_3"])
def test_a_request_id_is_sent_back_and_kept(base: str, stage: Stage, model: str, harmless: str) -> None:
    answer = stage.ask(base, model, headers={"X-Request-ID": harmless})
    assert answer.headers["x-request-id"] == harmless
    assert stage.trace(answer).request_id == harmless


@pytest.mark.parametrize("odd", ["a b", "<script>", "A" * 129, "x'; DROP TABLE", ""])
def test_an_odd_request_id_is_replaced(base: str, stage: Stage, model: str, odd: str) -> None:
    assert stage.ask(base, model, headers={"X-Request-ID": odd}).headers["x-request-id"].startswith("req-")


@pytest.mark.parametrize(
    ("method", "path", "key", "status"),
    [
        ("POST", "v1/chat/completions", "sk-relay-wrong", 401),
        ("POST", "v1/chat/completions", "", 400),
        ("GET", "v1/chat/completions", "", 405),
        ("GET", "v1/models", "", 200),
        ("GET", "v1/models", "sk-relay-wrong", 401),
        ("GET", "v1/nothing", "", 404),
        ("GET", "health", "", 200),
        ("GET", "admin/login/", "", 200),
    ],
)
def test_every_answer_has_the_request_id(
    base: str, stage: Stage, method: str, path: str, key: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {key or stage.key()}", "X-Request-ID": "mine-1"}
    answer = stage.http.request(method, f"{base}/{path}", headers=headers, content=b"{" if method == "POST" else None)
    assert (answer.status_code, answer.headers["x-request-id"]) == (status, "mine-1")


def test_a_stream_that_breaks_has_the_request_id_and_the_provider_is_told_it(base: str, stage: Stage) -> None:
    told: list[Any] = []
    model = stage.route(hears(told, dies("one ")))
    headers = {"X-Request-ID": "mine-2", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    headers["tracestate"] = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    answer = stage.ask(base, model, stream=True, headers=headers)
    assert answer.headers["x-request-id"] == "mine-2" and "[DONE]" not in answer.text
    assert {name: told[0][name] for name in headers} == headers


def test_a_malformed_traceparent_goes_nowhere(base: str, stage: Stage) -> None:
    told: list[Any] = []
    model = stage.route(hears(told, says("hi")))
    wrong = {"traceparent": "00-secret-01", "tracestate": "rojo=00f067aa0ba902b7"}
    assert stage.ask(base, model, headers=wrong).status_code == 200
    assert not {"traceparent", "tracestate"} & told[0].keys()


@pytest.mark.parametrize("stream", [False, True])
def test_both_shells_answer_alike(stage: Stage, model: str, stream: bool) -> None:
    by_express, by_drf = (
        stage.ask(base, model, stream=stream, headers={"X-Request-ID": "same"})
        for base in (stage.shells.express, stage.shells.drf)
    )
    assert by_express.status_code == by_drf.status_code == 200
    assert by_express.content == by_drf.content
    assert _told(by_express) == _told(by_drf)


@pytest.mark.parametrize("body", [{"n": "x"}, {"messages": []}, {"model": "no-such-model"}])
def test_both_shells_refuse_alike(stage: Stage, model: str, body: dict[str, Any]) -> None:
    asked = {"headers": {"X-Request-ID": "same"}, **body}
    by_express, by_drf = (
        stage.ask(base, **{"model": model, **asked}) for base in (stage.shells.express, stage.shells.drf)
    )
    assert by_express.status_code == by_drf.status_code != 200
    assert by_express.content == by_drf.content
    assert _told(by_express) == _told(by_drf)


VARY = {"x-relay-trace-id", "x-relay-queue-ms", "x-relay-overhead-ms"}


def _told(answer: Any) -> dict[str, str]:
    """The headers of ours, and the type; those that differ by nature only by name."""
    ours = {name: value for name, value in answer.headers.items() if name.startswith(("x-re", "content-type"))}
    return {name: "" if name in VARY else value for name, value in ours.items()}
