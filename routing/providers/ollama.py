"""Ollama's own API (``/api/chat``, newline-delimited JSON; ``/api/embed``), spoken as OpenAI's to the inside.

Source: Ollama's API documentation, docs/api.md. Durations there are nanoseconds and are not used.
"""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from routing.core.embeddings import inputs_of
from routing.providers.base import ProviderError, Target
from routing.providers.http import post, read_all, read_object, refused
from routing.providers.outlet import Outlet

OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "max_tokens": "num_predict",
    "max_completion_tokens": "num_predict",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}
MAX_LINE_BYTES = 1024 * 1024


class Ollama:
    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    async def chat(self, target: Target, payload: Mapping[str, Any], *, stream: bool) -> AsyncIterator[list[bytes]]:
        async with post(self._outlet, target, "/api/chat", to_ollama(payload, stream=stream), {}) as response:
            if not stream:
                yield [orjson.dumps(completion(_line(await read_all(response))))]
                return
            buffer, reply = b"", Reply()
            async for data in response.content.iter_any():
                *lines, buffer = (buffer + data).split(b"\n")
                if len(buffer) > MAX_LINE_BYTES:
                    raise ProviderError("One line of the stream is over 1 MiB.", code="event_too_large")
                documents = [_line(line) for line in lines if line.strip()]
                if documents:
                    yield [orjson.dumps(event) for document in documents for event in reply.chunks(document)]
        if not reply.finished:
            raise ProviderError("The stream ended before its end was announced.", code="stream_cut")

    async def embed(self, target: Target, payload: Mapping[str, Any]) -> bytes:
        """A text that is too long is refused, as OpenAI does; Ollama would cut it silently unless told not to."""
        inputs = inputs_of(payload)
        if not all(isinstance(item, str) for item in inputs):
            raise refused("Ollama takes texts, not token numbers.", "input")
        body: dict[str, Any] = {"model": payload["model"], "input": inputs, "truncate": False}
        if payload.get("dimensions") is not None:
            body["dimensions"] = payload["dimensions"]
        async with post(self._outlet, target, "/api/embed", body, {}) as response:
            return orjson.dumps(embeddings(_document(await read_all(response))))


def embeddings(document: Mapping[str, Any]) -> dict[str, Any]:
    """Ollama's ``embeddings`` as OpenAI's list."""
    tokens = int(document.get("prompt_eval_count") or 0)
    return {
        "object": "list",
        "model": document.get("model", ""),
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(document["embeddings"])
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def to_ollama(payload: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
    """OpenAI's chat payload in Ollama's words."""
    options = {theirs: payload[ours] for ours, theirs in OPTIONS.items() if payload.get(ours) is not None}
    body: dict[str, Any] = {
        "model": payload["model"],
        "messages": [_message(message) for message in payload["messages"]],
        "stream": stream,
        "options": options,
    }
    if payload.get("tools"):
        body["tools"] = payload["tools"]
    if (form := _format(payload.get("response_format"))) is not None:
        body["format"] = form
    return body


def _format(wanted: Any) -> Any:
    """Ollama's ``format``: “json”, a JSON schema, or None for free text."""
    if wanted is None:
        return None
    if not isinstance(wanted, dict) or not isinstance(wanted.get("json_schema") or {}, dict):
        raise refused("“response_format” must be an object.", "response_format")
    if wanted.get("type") == "json_schema":
        return (wanted.get("json_schema") or {}).get("schema", "json")
    return "json" if wanted.get("type") == "json_object" else None


def completion(document: Mapping[str, Any]) -> dict[str, Any]:
    """Ollama's whole answer as a ``chat.completion``."""
    message = document["message"]
    answer: dict[str, Any] = {"role": "assistant", "content": message.get("content", "")}
    called = bool(message.get("tool_calls"))
    if called:
        answer["tool_calls"] = _tool_calls(message["tool_calls"])
    return {
        "id": _id(document),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": document.get("model", ""),
        "choices": [{"index": 0, "message": answer, "finish_reason": _finish(document, called=called)}],
        "usage": _usage(document),
    }


class Reply:
    """One streamed answer: its lines as ``chat.completion.chunk`` documents, of which the last gives the usage.

    Ollama may name one tool call a line, and says “stop” after them; OpenAI numbers them and says “tool_calls”.
    """

    def __init__(self) -> None:
        self.finished = False
        self._common: dict[str, Any] = {}
        self._calls = 0

    def chunks(self, document: Mapping[str, Any]) -> list[dict[str, Any]]:
        if not self._common:
            self._common = {
                "id": _id(document),
                "object": "chat.completion.chunk",
                "created": int(time.time()),
                "model": document.get("model", ""),
            }
        message = document["message"]
        delta: dict[str, Any] = {"role": "assistant", "content": message.get("content", "")}
        if message.get("tool_calls"):
            calls = _tool_calls(message["tool_calls"], self._calls)
            delta["tool_calls"] = [{"index": self._calls + number, **call} for number, call in enumerate(calls)]
            self._calls += len(calls)
        if document.get("done") is not True:
            return [{**self._common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}]
        self.finished = True
        end = {"index": 0, "delta": delta, "finish_reason": _finish(document, called=self._calls > 0)}
        return [{**self._common, "choices": [end]}, {**self._common, "choices": [], "usage": _usage(document)}]


def _line(line: bytes) -> dict[str, Any]:
    document = _document(line)
    if not isinstance(document.get("message"), dict):
        raise ProviderError("The answer has no message.", code="garbage")
    return document


def _document(line: bytes) -> dict[str, Any]:
    document = read_object(line)
    if "error" in document:
        raise ProviderError(str(document["error"])[:500], code="provider_error")
    return document


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    result: dict[str, Any] = {"role": "system" if message["role"] == "developer" else message["role"]}
    if isinstance(content, list):
        result["content"] = "\n".join(part["text"] for part in content if part["type"] == "text")
        images = [part["image_url"]["url"].partition("base64,")[2] for part in content if _inline_image(part)]
        if images:
            result["images"] = images
    else:
        result["content"] = content or ""
    if calls := message.get("tool_calls"):
        if not isinstance(calls, list):
            raise refused("“tool_calls” must be a list.", "messages")
        result["tool_calls"] = [_call_to_ollama(call) for call in calls]
    return result


def _inline_image(part: Mapping[str, Any]) -> bool:
    image = part.get("image_url")
    return isinstance(image, dict) and isinstance(image.get("url"), str) and "base64," in image["url"]


def _call_to_ollama(call: Any) -> dict[str, Any]:
    try:
        arguments = orjson.loads(call["function"]["arguments"] or b"{}")
        return {"function": {"name": call["function"]["name"], "arguments": arguments}}
    except (KeyError, TypeError, orjson.JSONDecodeError):
        raise refused("A tool call needs function.name and function.arguments (JSON text).", "messages") from None


def _tool_calls(calls: Any, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{index}",
            "type": "function",
            "function": {
                "name": call["function"]["name"],
                "arguments": orjson.dumps(call["function"].get("arguments", {})).decode(),
            },
        }
        for index, call in enumerate(calls, first)
    ]


def _finish(document: Mapping[str, Any], *, called: bool) -> str:
    if called:
        return "tool_calls"
    return "length" if document.get("done_reason") == "length" else "stop"


def _usage(document: Mapping[str, Any]) -> dict[str, int]:
    tokens_in, tokens_out = int(document.get("prompt_eval_count") or 0), int(document.get("eval_count") or 0)
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def _id(document: Mapping[str, Any]) -> str:
    return f"chatcmpl-{document.get('created_at', '')}"
