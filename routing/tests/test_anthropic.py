"""The Anthropic adapter against a server that answers as its API reference says, and one that misbehaves."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from routing import answers
from routing.attempts import GARBAGE
from routing.core.usage import Asked
from routing.providers.anthropic import Anthropic, to_anthropic
from routing.providers.base import ProviderError
from routing.tests.model_server import ModelServer, collect, serving

PAYLOAD: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 100,
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x-1",
    "content": [{"type": "text", "text": "Hi é😀"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 7,
        "output_tokens": 5,
    },
}
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 5,
    "total_tokens": 25,
    "prompt_tokens_details": {"cached_tokens": 7},
}
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}


def events(*deltas: dict[str, Any], stop: str = "end_turn") -> list[dict[str, Any]]:
    """One block of text (or of a tool, if its start is the first delta)."""
    block, pieces = {"type": "text", "text": ""}, deltas
    if deltas and deltas[0]["type"] == "tool_use":
        block, pieces = deltas[0], deltas[1:]
    start = {**MESSAGE, "content": [], "stop_reason": None, "usage": {**MESSAGE["usage"], "output_tokens": 1}}
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *[{"type": "content_block_delta", "index": 0, "delta": piece} for piece in pieces],
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 5}},
        {"type": "a_kind_of_tomorrow"},
        {"type": "message_stop"},
    ]


def wire(*documents: dict[str, Any]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (item["type"].encode(), orjson.dumps(item)) for item in documents)


def words(*pieces: str) -> list[dict[str, Any]]:
    return [{"type": "text_delta", "text": piece} for piece in pieces]


async def ask(server: ModelServer, *, stream: bool = False, payload: Any = PAYLOAD) -> list[Any]:
    async with serving(server, credential="sk-ant-secret") as (outlet, target):
        return await collect(Anthropic(outlet), target, payload, stream=stream)


async def failure(server: ModelServer, *, stream: bool = False, payload: Any = PAYLOAD) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        await ask(server, stream=stream, payload=payload)
    assert "sk-ant-secret" not in f"{failed.value} {failed.value.__cause__!r}"
    return failed.value


async def test_a_whole_answer() -> None:
    server = ModelServer(parts=[orjson.dumps(MESSAGE)])
    (answer,) = await ask(server)
    assert answers.read_completion(orjson.dumps(answer))
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Hi é😀"}, "finish_reason": "stop"}
    ]
    assert (answer["id"], answer["model"], answer["usage"]) == ("msg_1", "claude-x-1", USAGE)
    assert server.paths == ["/messages"]
    assert server.sent_headers[0]["x-api-key"] == "sk-ant-secret"
    assert server.sent_headers[0]["anthropic-version"] == "2023-06-01"
    assert "Authorization" not in server.sent_headers[0]


@pytest.mark.parametrize("size", [1, 9, 100_000])
async def test_a_stream_becomes_chunks_wherever_it_is_cut(size: int) -> None:
    sent = wire(*events(*words("Hi ", "é😀", "!")))
    server = ModelServer(parts=[sent[start : start + size] for start in range(0, len(sent), size)])
    chunks = await ask(server, stream=True)
    answer = answers.assemble([orjson.dumps(chunk) for chunk in chunks])
    assert answer["choices"][0]["message"]["content"] == "Hi é😀!"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == USAGE
    assert [chunk["object"] for chunk in chunks] == ["chat.completion.chunk"] * 6
    assert not answers.has_content(answers.read_chunk(orjson.dumps(chunks[0])))  # so a failure now may go elsewhere


async def test_tools_are_called_in_pieces() -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", '{"at"', ": 1}")]
    chunks = await ask(ModelServer(parts=[wire(*events(block, *pieces, stop="tool_use"))]), stream=True)
    answer = answers.assemble([orjson.dumps(chunk) for chunk in chunks])
    call = {"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    assert answer["choices"][0]["message"]["tool_calls"] == [call]
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_tool_without_arguments_gets_an_empty_object() -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    chunks = await ask(ModelServer(parts=[wire(*events(block, stop="tool_use"))]), stream=True)
    answer = answers.assemble([orjson.dumps(chunk) for chunk in chunks])
    assert answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == "{}"


async def test_a_whole_answer_with_tools_and_thoughts() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}},
    ]
    (answer,) = await ask(ModelServer(parts=[orjson.dumps({**MESSAGE, "content": content, "stop_reason": "tool_use"})]))
    message = answer["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == (None, "Hm.")
    assert message["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":1}'}


async def test_thoughts_stream_apart() -> None:
    thought = {"type": "thinking_delta", "thinking": "Hm."}
    chunks = await ask(ModelServer(parts=[wire(*events(thought, *words("Hi")))]), stream=True)
    answer = answers.assemble([orjson.dumps(chunk) for chunk in chunks])
    assert answer["choices"][0]["message"]["reasoning_content"] == "Hm."


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "stop"),
    ],
)
async def test_why_it_stopped(reason: str, finish: str) -> None:
    (answer,) = await ask(ModelServer(parts=[orjson.dumps({**MESSAGE, "stop_reason": reason})]))
    assert answer["choices"][0]["finish_reason"] == finish
    chunks = await ask(ModelServer(parts=[wire(*events(*words("a"), stop=reason))]), stream=True)
    assert chunks[-2]["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": "many", "output_tokens": 5}, {"input_tokens": -1}, 5])
async def test_usage_that_is_none_is_left_to_our_own_count(usage: Any) -> None:
    (answer,) = await ask(ModelServer(parts=[orjson.dumps({**MESSAGE, "usage": usage})]))
    assert "usage" not in answer
    assert answers.usage_of(answer, Asked(7)).source == "estimated"


def test_the_request_in_their_words() -> None:
    schema = {"type": "object"}
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    linked = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    sent = to_anthropic(
        {
            "model": "claude-x",
            "max_completion_tokens": 50,
            "temperature": 1.7,
            "top_p": 0.5,
            "stop": "END",
            "user": "u1",
            "seed": 7,
            "tools": [TOOL, {"type": "function", "function": {"name": "bare"}}],
            "tool_choice": {"type": "function", "function": {"name": "look"}},
            "parallel_tool_calls": False,
            "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": "Look."}, inline, linked]},
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
            ],
        },
        stream=True,
    )
    assert sent == {
        "model": "claude-x",
        "max_tokens": 50,
        "stream": True,
        "system": "Be brief.\n\nBe kind.",
        "temperature": 1.0,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
        "tools": [
            {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}},
            {"name": "bare", "input_schema": {"type": "object", "properties": {}}},
        ],
        "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look."},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                ],
            },
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "a cat"}]},
        ],
    }


@pytest.mark.parametrize(("asked", "sent"), [("auto", "auto"), ("none", "none"), ("required", "any"), (None, "auto")])
def test_the_choice_of_tools(asked: str | None, sent: str) -> None:
    body = to_anthropic({**PAYLOAD, "tools": [TOOL], "tool_choice": asked, "top_p": 0.5}, stream=False)
    assert (body["tool_choice"], body["top_p"]) == ({"type": sent}, 0.5)


@pytest.mark.parametrize("more", [{"n": 2}, {"response_format": {"type": "json_object"}}, {"tools": 5}, {"stop": [5]}])
async def test_what_they_cannot_do_is_said_without_asking_them(more: dict[str, Any]) -> None:
    server = ModelServer()
    error = await failure(server, payload={**PAYLOAD, **more})
    assert (error.retryable, error.param, server.asked) == (False, next(iter(more)), [])


ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "sk-ant-secret"}}


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([b"<html>"], "garbage"),
        ([b"[1]"], "garbage"),
        ([orjson.dumps(ERROR)], "provider_error"),
        ([orjson.dumps({"type": "error", "error": 5})], "provider_error"),
    ],
)
async def test_an_answer_that_is_none(parts: Sequence[bytes], code: str) -> None:
    error = await failure(ModelServer(parts=parts))
    assert (error.code, error.retryable) == (code, True)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([b"data: <html>\n\n"], "garbage"),
        ([wire(*events(*words("Hi"))[:4])], "stream_cut"),
        ([wire(events()[0], ERROR)], "provider_error"),
        ([b"data: ", *[b"x" * 65_536] * 160], "event_too_large"),
        ([], "stream_cut"),
    ],
)
async def test_a_stream_that_goes_wrong(parts: Sequence[bytes], code: str) -> None:
    error = await failure(ModelServer(parts=parts), stream=True)
    assert (error.code, error.retryable) == (code, True)


@pytest.mark.parametrize("document", [{"type": "message"}, {**MESSAGE, "content": 5}, {**MESSAGE, "content": [{}]}])
async def test_another_shape_is_an_error_that_the_pipeline_knows(document: dict[str, Any]) -> None:
    with pytest.raises(GARBAGE):
        await ask(ModelServer(parts=[orjson.dumps(document)]))


@pytest.mark.parametrize(("status", "retry"), [(529, None), (429, 12.0), (401, None), (500, None), (307, None)])
async def test_their_trouble_lets_another_try(status: int, retry: float | None) -> None:
    headers = {"Retry-After": "12"} if retry else {}
    error = await failure(ModelServer(status=status, headers=headers, parts=[orjson.dumps(ERROR)]), stream=True)
    assert (error.code, error.retryable, error.retry_after_s) == (f"http_{status}", True, retry)
    assert str(error) == f"Answered {status}."


async def test_a_request_that_they_refuse_is_the_clients_mistake() -> None:
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: too large"}}
    error = await failure(ModelServer(status=400, parts=[orjson.dumps(body)]))
    assert (str(error), error.retryable) == ("max_tokens: too large", False)
