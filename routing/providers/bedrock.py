"""AWS Bedrock's Converse API, spoken as OpenAI's to the inside.

Source: Bedrock's API reference, Converse and ConverseStream; the shapes are those of botocore's service model.
"""

import re
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

from routing.providers import conversation as said
from routing.providers.base import ProviderError, Target
from routing.providers.http import read_all, read_object, refused, send, written
from routing.providers.outlet import Outlet
from routing.providers.reply import Reply, tool_call, usage

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
MAX_MESSAGE_BYTES = 1024 * 1024
HOST = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")
DEFAULT_REGION = "us-east-1"


class Bedrock:
    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    async def chat(self, target: Target, payload: Mapping[str, Any], *, stream: bool) -> AsyncIterator[list[bytes]]:
        action = "converse-stream" if stream else "converse"
        url = f"{target.base_url.rstrip('/')}/model/{quote(target.model, safe='')}/{action}"
        data = written(to_bedrock(payload))
        async with send(self._outlet, target, url, data, _signed(url, data, target)) as response:
            if not stream:
                document = read_object(await read_all(response))
                yield [orjson.dumps(completion(document, target.model, _id(response.headers)))]
                return
            frames, events = Frames(), Events(target.model, _id(response.headers))
            async for received in response.content.iter_any():
                chunks = [chunk for message in frames.feed(received) for chunk in events.chunks(*_read(message))]
                if chunks:
                    yield [orjson.dumps(chunk) for chunk in chunks]
        if not events.stopped:
            raise ProviderError("The stream ended before its end was announced.", code="stream_cut")
        yield [orjson.dumps(chunk) for chunk in events.end()]


def region_of(target: Target) -> str:
    """From the host (bedrock-runtime.REGION.amazonaws.com), else the deployment's options."""
    found = HOST.search(urlsplit(target.base_url).hostname or "")
    return found[1] if found else str(target.options.get("region") or DEFAULT_REGION)


def _signed(url: str, data: bytes, target: Target) -> dict[str, str]:
    headers: dict[str, str] = import_module("routing.providers.sigv4").signed_headers(
        url, data, target.credential, region_of(target)
    )
    return headers


def _id(headers: Mapping[str, str]) -> str:
    return f"chatcmpl-{headers.get('x-amzn-RequestId', 'bedrock')}"


def to_bedrock(payload: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's chat payload in Converse's words. Raises ProviderError for what has none."""
    said.require_one_answer(payload)
    conversation = said.read_conversation(payload["messages"])
    inference: dict[str, Any] = {"maxTokens": said.limit_of(payload)}
    if payload.get("temperature") is not None:
        inference["temperature"] = min(1.0, payload["temperature"])  # 0 to 1 here, 0 to 2 at OpenAI
    elif payload.get("top_p") is not None:  # some models refuse the two together
        inference["topP"] = payload["top_p"]
    if stops := said.read_stops(payload):
        inference["stopSequences"] = stops
    body: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": list(map(_block, turn.parts))} for turn in conversation.turns],
        "inferenceConfig": inference,
    }
    if conversation.system:
        body["system"] = [{"text": text} for text in conversation.system]
    if (schema := said.read_schema(payload)) is not None:
        structure = {"jsonSchema": {"schema": orjson.dumps(schema).decode()}}
        body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": structure}}
    return body | _tools(payload)


def _tools(payload: Mapping[str, Any]) -> dict[str, Any]:
    tools, (kind, name) = said.read_tools(payload), said.read_tool_choice(payload)
    if not tools or kind == "none":
        return {}
    specs = [
        {"name": tool.name, "inputSchema": {"json": tool.schema}}
        | ({"description": tool.description} if tool.description else {})
        for tool in tools
    ]
    config: dict[str, Any] = {"tools": [{"toolSpec": spec} for spec in specs]}
    if kind:
        config["toolChoice"] = {"tool": {"name": name}} if name else {"any" if kind == "required" else "auto": {}}
    return {"toolConfig": config}


def _block(part: said.Part) -> dict[str, Any]:
    match part:
        case said.Text(text):
            return {"text": text}
        case said.Image(url=url) if url:
            raise refused("This model takes inline images only (data:image/…;base64,…).", "messages")
        case said.Image(media_type, data):
            return {"image": {"format": media_type.removeprefix("image/"), "source": {"bytes": data}}}
        case said.Call(call_id, name, arguments):
            return {"toolUse": {"toolUseId": call_id, "name": name, "input": arguments}}
        case said.Result(call_id, text):
            return {"toolResult": {"toolUseId": call_id, "content": [{"text": text}]}}


def completion(document: Mapping[str, Any], model: str, answer_id: str) -> dict[str, Any]:
    """A whole answer as a ``chat.completion``."""
    if "output" not in document:
        raise ProviderError("The answer has no output.", code="provider_error")
    blocks = document["output"]["message"]["content"]
    used = [item["toolUse"] for item in blocks if "toolUse" in item]
    thought = [item["reasoningContent"] for item in blocks if "reasoningContent" in item]
    return Reply(answer_id, model).whole(
        [item["text"] for item in blocks if "text" in item],
        [item["reasoningText"]["text"] for item in thought if "reasoningText" in item],
        [tool_call(item["toolUseId"], item["name"], item["input"]) for item in used],
        FINISH.get(document["stopReason"], "stop"),
        _usage(document.get("usage")),
    )


class Frames:
    """Bytes in, whole messages of AWS's event stream out; what is not yet whole stays bounded."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()
        self._waiting = 0  # bytes since the last whole message

    def feed(self, data: bytes) -> list[EventStreamMessage]:
        self._buffer.add_data(data)
        self._waiting += len(data)
        try:
            found = list(self._buffer)
        except (ParserError, ValueError, KeyError, struct.error):
            raise ProviderError("The stream is not AWS's event stream.", code="garbage") from None
        if found:
            self._waiting = 0
        elif self._waiting > MAX_MESSAGE_BYTES:
            raise ProviderError("One message of the stream is over 1 MiB.", code="event_too_large")
        return found


def _read(message: EventStreamMessage) -> tuple[str, Mapping[str, Any]]:
    """The event's kind and its document. Raises ProviderError for an exception that was sent in the stream."""
    headers = message.headers
    if headers.get(":message-type") != "event":
        kind = str(headers.get(":exception-type") or headers.get(":error-code") or "error")[:60]
        raise ProviderError(
            f"Reported {kind}.", code="provider_error", status=429 if kind == "throttlingException" else None
        )
    return str(headers.get(":event-type")), read_object(message.payload)


class Events:
    """One streamed answer: its events as ``chat.completion.chunk`` documents. Usage comes after the stop."""

    def __init__(self, model: str, answer_id: str) -> None:
        self.stopped = False
        self._reply = Reply(answer_id, model)
        self._usage: dict[str, Any] | None = None
        self._finish = "stop"

    def chunks(self, kind: str, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        match kind:
            case "messageStart":
                yield self._reply.role()
            case "contentBlockStart" if "toolUse" in event["start"]:
                yield self._reply.call(event["start"]["toolUse"]["toolUseId"], event["start"]["toolUse"]["name"])
            case "contentBlockDelta":
                yield from self._delta(event["delta"])
            case "contentBlockStop":
                yield from self._reply.call_ended()
            case "messageStop":
                self.stopped = True
                self._finish = FINISH.get(event["stopReason"], "stop")
            case "metadata":
                self._usage = _usage(event.get("usage"))

    def end(self) -> list[dict[str, Any]]:
        return self._reply.end(self._finish, self._usage)

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        if "text" in delta:
            yield self._reply.text(delta["text"])
        elif "toolUse" in delta:
            yield self._reply.arguments(delta["toolUse"]["input"])
        elif "text" in delta.get("reasoningContent", {}):
            yield self._reply.reasoning(delta["reasoningContent"]["text"])


def _usage(counts: Any) -> dict[str, Any] | None:
    if not isinstance(counts, dict):
        return None
    written_tokens, read = counts.get("cacheWriteInputTokens"), counts.get("cacheReadInputTokens")
    return usage(counts.get("inputTokens"), written_tokens, read, counts.get("outputTokens"))
