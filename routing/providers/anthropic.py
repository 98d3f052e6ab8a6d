"""Anthropic's messages API, spoken as OpenAI's to the inside.

Source: Anthropic's API reference, “Messages” and “Streaming messages”, version 2023-06-01.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import orjson

from routing.core.sse import SseReader
from routing.providers import conversation as said
from routing.providers.base import ProviderError, Target
from routing.providers.http import feed, post, read_all, read_object
from routing.providers.outlet import Outlet
from routing.providers.reply import Reply, tool_call, usage

VERSION = "2023-06-01"
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
CHOICES = {"auto": "auto", "required": "any", "none": "none", "tool": "tool"}
OVERLOADED = 529  # their own status: too many requests of everybody


class Anthropic:
    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    async def chat(self, target: Target, payload: Mapping[str, Any], *, stream: bool) -> AsyncIterator[list[bytes]]:
        headers = {"x-api-key": target.credential, "anthropic-version": VERSION}
        async with post(self._outlet, target, "/messages", to_anthropic(payload, stream=stream), headers) as response:
            if not stream:
                yield [orjson.dumps(completion(read_object(await read_all(response))))]
                return
            reader, events = SseReader(), Events()
            async for data in response.content.iter_any():
                chunks = [chunk for event in feed(reader, data) for chunk in events.chunks(read_object(event))]
                if chunks:
                    yield [orjson.dumps(chunk) for chunk in chunks]
                if events.finished:
                    return
        raise ProviderError("The stream ended before its end was announced.", code="stream_cut")


def to_anthropic(payload: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
    """OpenAI's chat payload in Anthropic's words. Raises ProviderError for what has none."""
    said.require_one_answer(payload)
    conversation = said.read_conversation(payload["messages"])
    body: dict[str, Any] = {
        "model": payload["model"],
        "max_tokens": said.limit_of(payload),
        "messages": [{"role": turn.role, "content": list(map(_block, turn.parts))} for turn in conversation.turns],
        "stream": stream,
    }
    if conversation.system:
        body["system"] = "\n\n".join(conversation.system)
    if stops := said.read_stops(payload):
        body["stop_sequences"] = stops
    if payload.get("temperature") is not None:
        body["temperature"] = min(1.0, payload["temperature"])  # 0 to 1 here, 0 to 2 at OpenAI
    elif payload.get("top_p") is not None:  # newer models refuse the two together
        body["top_p"] = payload["top_p"]
    if (schema := said.read_schema(payload)) is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if isinstance(payload.get("user"), str):
        body["metadata"] = {"user_id": payload["user"]}
    return body | _tools(payload)


def _tools(payload: Mapping[str, Any]) -> dict[str, Any]:
    tools = said.read_tools(payload)
    if not tools:
        return {}
    written = [
        {"name": tool.name, "input_schema": tool.schema}
        | ({"description": tool.description} if tool.description else {})
        for tool in tools
    ]
    kind, name = said.read_tool_choice(payload)
    choice: dict[str, Any] = {"type": CHOICES[kind or "auto"]} | ({"name": name} if name else {})
    if payload.get("parallel_tool_calls") is False and kind != "none":
        choice["disable_parallel_tool_use"] = True
    return {"tools": written, "tool_choice": choice}


def _block(part: said.Part) -> dict[str, Any]:
    match part:
        case said.Text(text):
            return {"type": "text", "text": text}
        case said.Image(url=url) if url:
            return {"type": "image", "source": {"type": "url", "url": url}}
        case said.Image(media_type, data):
            return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
        case said.Call(call_id, name, arguments):
            return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
        case said.Result(call_id, text):
            return {"type": "tool_result", "tool_use_id": call_id, "content": text}


def completion(document: Mapping[str, Any]) -> dict[str, Any]:
    """A whole answer as a ``chat.completion``. Raises ProviderError for an error inside a 200."""
    if document.get("type") == "error":
        raise _error(document)
    blocks = document["content"]
    calls = [tool_call(item["id"], item["name"], item["input"]) for item in blocks if item["type"] == "tool_use"]
    return Reply(str(document["id"]), str(document["model"])).whole(
        [item["text"] for item in blocks if item["type"] == "text"],
        [item["thinking"] for item in blocks if item["type"] == "thinking"],
        calls,
        FINISH.get(document["stop_reason"], "stop"),
        _usage(document.get("usage")),
    )


class Events:
    """One streamed answer: its events as ``chat.completion.chunk`` documents, of which the last gives the usage."""

    def __init__(self) -> None:
        self.finished = False
        self._usage: dict[str, Any] = {}
        self._finish = "stop"
        self._reply = Reply("", "")

    def chunks(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Kinds of events and blocks that are not known are skipped, as their documentation asks for."""
        match event.get("type"):
            case "message_start":
                message = event["message"]
                self._reply = Reply(str(message["id"]), str(message["model"]))
                self._usage |= message.get("usage") or {}
                yield self._reply.role()
            case "content_block_start" if event["content_block"]["type"] == "tool_use":
                yield self._reply.call(event["content_block"]["id"], event["content_block"]["name"])
            case "content_block_delta":
                yield from self._delta(event["delta"])
            case "content_block_stop":
                yield from self._reply.call_ended()
            case "message_delta":
                self._finish = FINISH.get(event["delta"].get("stop_reason"), "stop")
                self._usage |= event.get("usage") or {}
            case "message_stop":
                self.finished = True
                yield from self._reply.end(self._finish, _usage(self._usage))
            case "error":
                raise _error(event)

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        match delta.get("type"):
            case "text_delta":
                yield self._reply.text(delta["text"])
            case "input_json_delta":
                yield self._reply.arguments(delta["partial_json"])
            case "thinking_delta":
                yield self._reply.reasoning(delta["thinking"])


def _usage(counts: Any) -> dict[str, Any] | None:
    if not isinstance(counts, dict):
        return None
    written, read = counts.get("cache_creation_input_tokens"), counts.get("cache_read_input_tokens")
    return usage(counts.get("input_tokens"), written, read, counts.get("output_tokens"))


def _error(document: Mapping[str, Any]) -> ProviderError:
    """Only their name of the error: the message may hold anything."""
    error = document.get("error")
    kind = str(error.get("type"))[:60] if isinstance(error, dict) else "error"
    return ProviderError(
        f"Reported {kind}.", code="provider_error", status=OVERLOADED if kind == "overloaded_error" else None
    )
