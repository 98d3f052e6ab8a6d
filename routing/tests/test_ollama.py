"""Ollama's adapter, against replies as its API documentation (docs/api.md) gives them."""

from typing import Any

import orjson
import pytest

from routing import answers
from routing.providers.base import ProviderError
from routing.providers.ollama import Ollama, to_ollama
from routing.tests.model_server import ModelServer, collect, serving

AT = "2023-08-04T08:52:19.385406455-07:00"
DONE: dict[str, Any] = {
    "model": "llama3.2",
    "created_at": "2023-08-04T19:22:45.499127Z",
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "stop",
    "total_duration": 4883583458,
    "load_duration": 1334875,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 342546000,
    "eval_count": 282,
    "eval_duration": 4535599000,
}
PAYLOAD = {"model": "llama3.2", "messages": [{"role": "user", "content": "why is the sky blue?"}]}
USAGE = {"prompt_tokens": 26, "completion_tokens": 282, "total_tokens": 308}


def said(content: str, **message: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **message}
    return {"model": "llama3.2", "created_at": AT, "message": message, "done": False}


def called(city: str) -> dict[str, Any]:
    return {"function": {"name": "get_weather", "arguments": {"city": city}}}


def lines(*documents: Any) -> bytes:
    return b"".join(orjson.dumps(document) + b"\n" for document in documents)


async def ask(server: ModelServer, *, stream: bool = True, payload: Any = PAYLOAD) -> list[Any]:
    async with serving(server) as (outlet, target):
        return await collect(Ollama(outlet), target, payload, stream=stream)


async def failure(parts: list[bytes], *, stream: bool = True, payload: Any = PAYLOAD, **more: Any) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        await ask(ModelServer(parts=parts, **more), stream=stream, payload=payload)
    return failed.value


async def test_a_whole_answer() -> None:
    reply = {**DONE, "message": {"role": "assistant", "content": "Hello! How are you today?"}}
    server = ModelServer(parts=[orjson.dumps(reply)])
    [answer] = await ask(server, stream=False)
    assert server.paths == ["/api/chat"]
    assert server.asked == [{**PAYLOAD, "stream": False, "options": {}}]
    assert (answer["object"], answer["model"], answer["usage"]) == ("chat.completion", "llama3.2", USAGE)
    message = {"role": "assistant", "content": "Hello! How are you today?"}
    assert answer["choices"] == [{"index": 0, "message": message, "finish_reason": "stop"}]


async def test_a_whole_answer_with_tools() -> None:
    message = {"role": "assistant", "content": "", "tool_calls": [called("Tokyo")]}
    [answer] = await ask(ModelServer(parts=[orjson.dumps({**DONE, "message": message})]), stream=False)
    [choice] = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    [call] = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"Tokyo"}'}


@pytest.mark.parametrize("size", [1, 11, 100_000])
async def test_a_stream_is_the_same_wherever_it_is_cut_into_packets(size: int) -> None:
    wire = lines(said("The"), said(" sky é😀"), DONE)
    events = await ask(ModelServer(parts=[wire[start : start + size] for start in range(0, len(wire), size)]))
    assert len({event["id"] for event in events}) == 1
    whole = answers.assemble([orjson.dumps(event) for event in events])
    message = {"role": "assistant", "content": "The sky é😀"}
    assert whole["choices"] == [{"index": 0, "message": message, "finish_reason": "stop"}]
    assert whole["usage"] == USAGE
    assert answers.is_usage(orjson.dumps(events[-1]))


async def test_tool_calls_on_several_lines_stay_apart_and_the_end_says_so() -> None:
    parts = [lines(said("", tool_calls=[called("Tokyo")]), said("", tool_calls=[called("Paris")]), DONE)]
    events = await ask(ModelServer(parts=parts))
    [choice] = answers.assemble([orjson.dumps(event) for event in events])["choices"]
    assert choice["finish_reason"] == "tool_calls"
    calls = choice["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == ['{"city":"Tokyo"}', '{"city":"Paris"}']
    assert len({call["id"] for call in calls}) == 2


async def test_a_stream_that_reached_its_limit_says_length() -> None:
    events = await ask(ModelServer(parts=[lines(said("The"), {**DONE, "done_reason": "length"})]))
    assert [event["choices"][0]["finish_reason"] for event in events if event["choices"]] == [None, "length"]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([lines(said("The"))], "stream_cut"),
        ([], "stream_cut"),
        ([b"garbage\n"], "garbage"),
        ([b"[]\n"], "garbage"),
        ([lines({"done": True})], "garbage"),
        ([lines({"error": "model runner crashed"})], "provider_error"),
        ([b"x" * 65_536] * 160, "event_too_large"),
    ],
)
async def test_a_bad_stream_is_a_failure(parts: list[bytes], code: str) -> None:
    assert (await failure(parts)).code == code


async def test_a_stream_that_breaks_and_a_whole_answer_that_is_garbage() -> None:
    assert (await failure([lines(said("The"))], cut=True)).code == "connection_broken"
    assert (await failure([b"garbage"], stream=False)).code == "garbage"
    missing = await failure([b'{"error":"model not found"}'], status=404)
    assert (missing.code, missing.retryable) == ("http_404", True)


def test_openais_words_become_ollamas() -> None:
    asked = to_ollama(
        {
            **PAYLOAD,
            "temperature": 0,
            "top_p": None,
            "seed": 101,
            "max_completion_tokens": 5,
            "stop": ["x"],
            "tools": [{"type": "function"}],
            "response_format": {"type": "json_object"},
        },
        stream=True,
    )
    assert asked["options"] == {"temperature": 0, "seed": 101, "num_predict": 5, "stop": ["x"]}
    assert (asked["tools"], asked["format"], asked["stream"]) == ([{"type": "function"}], "json", True)


@pytest.mark.parametrize(
    ("wanted", "form"),
    [
        ({"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}, {"type": "object"}),
        ({"type": "json_schema"}, "json"),
        ({"type": "text"}, None),
        (None, None),
    ],
)
def test_the_response_format(wanted: Any, form: Any) -> None:
    assert to_ollama({**PAYLOAD, "response_format": wanted}, stream=False).get("format") == form


def test_messages_with_images_tool_calls_and_their_results() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    remote = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Tokyo"}'}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "What"}, image, remote, {"type": "text", "text": "is it?"}],
        },
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "11 degrees celsius"},
    ]
    assert to_ollama({"model": "m", "messages": messages}, stream=False)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What\nis it?", "images": ["iVBORw0KGgo="]},
        {"role": "assistant", "content": "", "tool_calls": [called("Tokyo")]},
        {"role": "tool", "content": "11 degrees celsius"},
    ]


BAD_CALLS: list[Any] = [5, "x", [5], [{}], [{"function": {"name": "a", "arguments": "{"}}], [{"function": []}]]
ODD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {"type": "json_schema", "json_schema": 5}}, "response_format"),
    *[({"messages": [{"role": "assistant", "tool_calls": calls}]}, "messages") for calls in BAD_CALLS],
]


@pytest.mark.parametrize(("odd", "param"), ODD_FIELDS)
async def test_a_clients_odd_field_is_the_clients_mistake(odd: dict[str, Any], param: str) -> None:
    error = await failure([], payload={**PAYLOAD, **odd})
    assert (error.status, error.retryable, error.param) == (400, False, param)


EMBEDDED = {"model": "all-minilm", "embeddings": [[0.5, -0.5], [1.0, 0.0]], "total_duration": 14143917}


async def embed(server: ModelServer, **payload: Any) -> Any:
    async with serving(server) as (session, target):
        return orjson.loads(await Ollama(session).embed(target, {"model": "all-minilm", **payload}))


async def test_embeddings() -> None:
    server = ModelServer(parts=[orjson.dumps({**EMBEDDED, "prompt_eval_count": 8})])
    answer = await embed(server, input=["why", "how"], dimensions=2, encoding_format="base64")
    assert server.paths == ["/api/embed"]
    assert server.asked == [{"model": "all-minilm", "input": ["why", "how"], "truncate": False, "dimensions": 2}]
    assert [one["embedding"] for one in answer["data"]] == EMBEDDED["embeddings"]
    assert answer["usage"] == {"prompt_tokens": 8, "total_tokens": 8}


async def test_one_text_is_embedded_and_tokens_are_refused() -> None:
    server = ModelServer(parts=[orjson.dumps(EMBEDDED)])
    await embed(server, input="why")
    assert server.asked == [{"model": "all-minilm", "input": ["why"], "truncate": False}]
    with pytest.raises(ProviderError) as refused:
        await embed(server, input=[1, 2])
    assert (refused.value.param, refused.value.retryable) == ("input", False)
