"""The Bedrock adapter. What is sent and what the fake answers is held against botocore's description of the service."""

import dataclasses
import hashlib
import hmac
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import botocore.session
import orjson
import pytest
from botocore.validate import ParamValidator

from routing import answers
from routing.providers.base import ProviderError, Target
from routing.providers.bedrock import Bedrock, region_of, to_bedrock
from routing.tests.model_server import ModelServer, collect, serving

PAYLOAD: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
ACCESS_KEY, SECRET, TOKEN = "AKIAEXAMPLE", "secret/of+the+account", "token:with:colons"
MODEL = "anthropic.claude-x-v1:0"
ANSWER: dict[str, Any] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi é😀"}]}},
    "stopReason": "end_turn",
    "usage": {
        "inputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 25,
        "cacheReadInputTokens": 7,
        "cacheWriteInputTokens": 3,
    },
    "metrics": {"latencyMs": 12},
}
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 5,
    "total_tokens": 25,
    "prompt_tokens_details": {"cached_tokens": 7},
}
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def service() -> Any:
    return botocore.session.get_session().get_service_model("bedrock-runtime")


def frame(kind: str, document: Any, *, message: str = "event") -> bytes:
    """One message of AWS's event stream: lengths, headers (type 7: text), payload, checksums."""
    named = {":message-type": message, f":{message}-type": kind, ":content-type": "application/json"}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in named.items()
    )
    payload = orjson.dumps(document)
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    start = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return start + struct.pack("!I", zlib.crc32(start))


def events(*deltas: dict[str, Any], tool: bool = False, stop: str = "end_turn") -> list[tuple[str, dict[str, Any]]]:
    start = [("contentBlockStart", {"start": {"toolUse": {"toolUseId": "t1", "name": "look"}}, "contentBlockIndex": 0})]
    return [
        ("messageStart", {"role": "assistant"}),
        *(start if tool else []),
        *[("contentBlockDelta", {"delta": delta, "contentBlockIndex": 0}) for delta in deltas],
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": stop}),
        ("metadata", {"usage": ANSWER["usage"], "metrics": {"latencyMs": 12}}),
    ]


def wire(*found: tuple[str, dict[str, Any]]) -> bytes:
    return b"".join(frame(kind, document) for kind, document in found)


async def ask(server: ModelServer, *, stream: bool = False, payload: Any = PAYLOAD, token: str = "") -> list[Any]:
    credential = ":".join(filter(None, (ACCESS_KEY, SECRET, token)))
    async with serving(server, credential=credential) as (outlet, target):
        target = dataclasses.replace(target, model=MODEL, options={"region": "eu-west-1"})
        return await collect(Bedrock(outlet), target, payload, stream=stream)


async def failure(server: ModelServer, *, stream: bool = False, payload: Any = PAYLOAD) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        await ask(server, stream=stream, payload=payload)
    said = f"{failed.value} {failed.value.__cause__!r}"
    assert SECRET not in said and ACCESS_KEY not in said
    return failed.value


def joined(chunks: Sequence[Any]) -> dict[str, Any]:
    return answers.assemble([orjson.dumps(chunk) for chunk in chunks])


async def test_a_whole_answer() -> None:
    server = ModelServer(parts=[orjson.dumps(ANSWER)], headers={"x-amzn-RequestId": "r1"})
    (answer,) = await ask(server)
    assert answers.read_completion(orjson.dumps(answer))
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Hi é😀"}, "finish_reason": "stop"}
    ]
    assert (answer["id"], answer["model"], answer["usage"]) == ("chatcmpl-r1", MODEL, USAGE)
    assert server.paths == [f"/model/{MODEL}/converse"]


def test_the_fakes_answer_is_as_documented(service: Any) -> None:
    check(ANSWER, service.operation_model("Converse").output_shape)
    stream = service.shape_for("ConverseStreamOutput")
    for kind, document in events({"text": "a"}, {"toolUse": {"input": "{}"}}, tool=True):
        check({kind: document}, stream)


def check(document: Any, shape: Any) -> None:
    report = ParamValidator().validate(document, shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("token", ["", TOKEN])
async def test_requests_are_signed_for_the_region_and_hold_no_secret(token: str) -> None:
    server = ModelServer(parts=[orjson.dumps(ANSWER)])
    await ask(server, token=token)
    sent = {name.lower(): value for name, value in server.sent_headers[0].items()}
    assert sent["authorization"] == expected_signature(sent, orjson.dumps(server.asked[0]))
    assert sent.get("x-amz-security-token", "") == token
    assert SECRET not in str(sent)


def expected_signature(sent: Mapping[str, str], body: bytes) -> str:
    """Signature Version 4 by AWS's description, written a second time; the path is encoded twice."""
    signed = sorted(name for name in ("content-type", "host", "x-amz-date", "x-amz-security-token") if name in sent)
    path = quote(f"/model/{quote(MODEL, safe='')}/converse", safe="/")
    lines = [f"{name}:{sent[name]}" for name in signed]
    hashed = hashlib.sha256(body).hexdigest()
    canonical = "\n".join(["POST", path, "", *lines, "", ";".join(signed), hashed])
    date, moment = sent["x-amz-date"][:8], sent["x-amz-date"]
    scope = f"{date}/eu-west-1/bedrock/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for part in (date, "eu-west-1", "bedrock", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={';'.join(signed)}, Signature={signature}"


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/", "us-gov-west-1"),
        ("https://vpce-1.bedrock-runtime.us-west-2.vpce.amazonaws.com", "us-west-2"),
        ("https://gateway.example.com", "us-east-1"),
    ],
)
def test_the_region_is_that_of_the_host(url: str, region: str) -> None:
    assert region_of(Target("d", "p", "bedrock", MODEL, url)) == region


@pytest.mark.parametrize("size", [1, 11, 100_000])
async def test_a_stream_becomes_chunks_wherever_it_is_cut(size: int) -> None:
    sent = wire(*events({"text": "Hi "}, {"text": "é😀"}, {"reasoningContent": {"text": "Hm."}}, {"text": "!"}))
    server = ModelServer(parts=[sent[start : start + size] for start in range(0, len(sent), size)])
    chunks = await ask(server, stream=True)
    answer = joined(chunks)
    message = answer["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Hi é😀!", "Hm.")
    assert (answer["choices"][0]["finish_reason"], answer["usage"]) == ("stop", USAGE)
    assert not answers.has_content(answers.read_chunk(orjson.dumps(chunks[0])))
    assert server.paths == [f"/model/{MODEL}/converse-stream"]


@pytest.mark.parametrize(("pieces", "arguments"), [(('{"at"', ": 1}"), '{"at": 1}'), (("",), "{}"), ((), "{}")])
async def test_tools_are_called_in_pieces(pieces: tuple[str, ...], arguments: str) -> None:
    deltas = [{"toolUse": {"input": piece}} for piece in pieces]
    answer = joined(await ask(ModelServer(parts=[wire(*events(*deltas, tool=True, stop="tool_use"))]), stream=True))
    call = {"id": "t1", "type": "function", "function": {"name": "look", "arguments": arguments}}
    assert answer["choices"][0]["message"]["tool_calls"] == [call]
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_whole_answer_with_tools_and_thoughts(service: Any) -> None:
    content = [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "x"}}},
        {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": 1}}},
    ]
    whole = {**ANSWER, "output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use"}
    check(whole, service.operation_model("Converse").output_shape)
    (answer,) = await ask(ModelServer(parts=[orjson.dumps(whole)]))
    message = answer["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == (None, "Hm.")
    assert message["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":1}'}


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_tokens", "length"), ("guardrail_intervened", "content_filter"), ("new", "stop")]
)
async def test_why_it_stopped(reason: str, finish: str) -> None:
    (answer,) = await ask(ModelServer(parts=[orjson.dumps({**ANSWER, "stopReason": reason})]))
    assert answer["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize("usage", [None, {}, {"inputTokens": "many", "outputTokens": 5}, {"inputTokens": -1}, 5])
async def test_usage_that_is_none_is_left_to_our_own_count(usage: Any) -> None:
    (answer,) = await ask(ModelServer(parts=[orjson.dumps({**ANSWER, "usage": usage})]))
    assert "usage" not in answer


def test_the_request_is_as_documented(service: Any) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    sent = to_bedrock(
        {
            "max_tokens": 50,
            "temperature": 1.7,
            "stop": ["END"],
            "tools": [TOOL],
            "tool_choice": "required",
            "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Look."}, inline]},
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
            ],
        }
    )
    check({"modelId": MODEL, **sent}, service.operation_model("Converse").input_shape)
    assert sent["system"] == [{"text": "Be brief."}]
    assert sent["inferenceConfig"] == {"maxTokens": 50, "temperature": 1.0, "stopSequences": ["END"]}
    assert sent["toolConfig"]["toolChoice"] == {"any": {}}
    assert sent["messages"] == [
        {"role": "user", "content": [{"text": "Look."}, {"image": {"format": "png", "source": {"bytes": "AAAA"}}}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "look", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "a cat"}]}}]},
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"auto": {}}),
        (None, None),
        ({"type": "function", "function": {"name": "look"}}, {"tool": {"name": "look"}}),
    ],
)
def test_the_choice_of_tools(choice: Any, sent: Any, service: Any) -> None:
    body = to_bedrock({**PAYLOAD, "tools": [TOOL], "tool_choice": choice, "top_p": 0.5})
    assert body["toolConfig"].get("toolChoice") == sent
    assert body["inferenceConfig"]["topP"] == 0.5
    check({"modelId": MODEL, **body}, service.operation_model("Converse").input_shape)


def test_no_tools_are_sent_where_none_may_be_called() -> None:
    assert "toolConfig" not in to_bedrock({**PAYLOAD, "tools": [TOOL], "tool_choice": "none"})


async def test_a_linked_image_is_refused_without_asking_them() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    server = ModelServer()
    error = await failure(server, payload={**PAYLOAD, "messages": [{"role": "user", "content": [part]}]})
    assert (error.retryable, server.asked) == (False, [])


@pytest.mark.parametrize(
    ("part", "code"), [(b"<html>", "garbage"), (b"[1]", "garbage"), (b'{"message": "secret"}', "provider_error")]
)
async def test_an_answer_that_is_none(part: bytes, code: str) -> None:
    error = await failure(ModelServer(parts=[part]))
    assert (error.code, error.retryable) == (code, True)


BROKEN = bytearray(wire(*events({"text": "Hi"})))
BROKEN[40] ^= 1


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([b"<html><body>" * 9], "garbage"),
        ([bytes(BROKEN)], "garbage"),
        ([frame("messageStart", [1])], "garbage"),
        ([wire(*events({"text": "Hi"})[:3])], "stream_cut"),
        ([], "stream_cut"),
        ([frame("throttlingException", {"message": SECRET}, message="exception")], "provider_error"),
        ([struct.pack("!II", 12_000_000, 0), struct.pack("!I", zlib.crc32(struct.pack("!II", 12_000_000, 0)))]
         + [b"x" * 65_536] * 160, "event_too_large"),
    ],
)  # fmt: skip
async def test_a_stream_that_goes_wrong(parts: Sequence[bytes], code: str) -> None:
    error = await failure(ModelServer(parts=parts), stream=True)
    assert (error.code, error.retryable) == (code, True)


@pytest.mark.parametrize(("status", "retry"), [(429, 3.0), (401, None), (403, None), (503, None), (302, None)])
async def test_their_trouble_lets_another_try(status: int, retry: float | None) -> None:
    headers = {"Retry-After": "3"} if retry else {}
    body = {"message": f"The security token {ACCESS_KEY} is wrong."}
    error = await failure(ModelServer(status=status, headers=headers, parts=[orjson.dumps(body)]), stream=True)
    assert (error.code, error.retryable, error.retry_after_s) == (f"http_{status}", True, retry)


async def test_a_request_that_they_refuse_is_the_clients_mistake_and_quotes_no_key() -> None:
    body = {"message": f"Malformed input from {ACCESS_KEY}."}
    error = await failure(ModelServer(status=400, parts=[orjson.dumps(body)]))
    assert (str(error), error.retryable) == ("Malformed input from ….", False)
