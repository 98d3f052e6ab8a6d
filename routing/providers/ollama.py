"""Ollama's own chat API (``/api/chat``, newline-delimited JSON), spoken as OpenAI's to the inside.

Source: Ollama's API documentation, docs/api.md. Durations there are nanoseconds and are not used.
"""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import orjson

from routing.providers.base import ProviderError, Target
from routing.providers.http import post, read_all

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
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def chat(self, target: Target, payload: Mapping[str, Any], *, stream: bool) -> AsyncIterator[list[bytes]]:
        async with post(self._session, target, "/api/chat", to_ollama(payload, stream=stream), {}) as response:
            if not stream:
                yield [orjson.dumps(completion(_line(await read_all(response))))]
                return
            buffer, finished = b"", False
            async for data in response.content.iter_any():
                *lines, buffer = (buffer + data).split(b"\n")
                if len(buffer) > MAX_LINE_BYTES:
                    raise ProviderError("One line of the stream is over 1 MiB.", code="event_too_large")
                documents = [_line(line) for line in lines if line.strip()]
                finished = finished or any(document.get("done") is True for document in documents)
                if documents:
                    yield [orjson.dumps(event) for document in documents for event in chunks(document)]
        if not finished:
            raise ProviderError("The stream ended before its end was announced.", code="stream_cut")


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
    wanted = payload.get("response_format") or {}
    if wanted.get("type") == "json_object":
        body["format"] = "json"
    elif wanted.get("type") == "json_schema":
        body["format"] = (wanted.get("json_schema") or {}).get("schema", "json")
    return body


def completion(document: Mapping[str, Any]) -> dict[str, Any]:
    """Ollama's whole answer as a ``chat.completion``."""
    message = document["message"]
    answer: dict[str, Any] = {"role": "assistant", "content": message.get("content", "")}
    if message.get("tool_calls"):
        answer["tool_calls"] = _tool_calls(message["tool_calls"])
    return {
        "id": _id(document),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": document.get("model", ""),
        "choices": [{"index": 0, "message": answer, "finish_reason": _finish(document)}],
        "usage": _usage(document),
    }


def chunks(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One line of Ollama's stream as ``chat.completion.chunk`` documents; the last line also gives the usage."""
    message = document.get("message") or {}
    delta: dict[str, Any] = {"role": "assistant", "content": message.get("content", "")}
    if message.get("tool_calls"):
        calls = enumerate(_tool_calls(message["tool_calls"]))
        delta["tool_calls"] = [{"index": index, **call} for index, call in calls]
    common = {
        "id": _id(document),
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": document.get("model", ""),
    }
    finish = _finish(document) if document.get("done") is True else None
    events = [{**common, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}]
    if finish:
        events.append({**common, "choices": [], "usage": _usage(document)})
    return events


def _line(line: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise ProviderError("The answer is not JSON.", code="garbage") from None
    if not isinstance(document, dict):
        raise ProviderError("The answer is not a JSON object.", code="garbage")
    if "error" in document:
        raise ProviderError(str(document["error"])[:500], code="provider_error")
    if not isinstance(document.get("message"), dict):
        raise ProviderError("The answer has no message.", code="garbage")
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
    if message.get("tool_calls"):
        result["tool_calls"] = [_call_to_ollama(call) for call in message["tool_calls"]]
    return result


def _inline_image(part: Mapping[str, Any]) -> bool:
    image = part.get("image_url")
    return isinstance(image, dict) and isinstance(image.get("url"), str) and "base64," in image["url"]


def _call_to_ollama(call: Any) -> dict[str, Any]:
    try:
        arguments = orjson.loads(call["function"]["arguments"] or b"{}")
        return {"function": {"name": call["function"]["name"], "arguments": arguments}}
    except (KeyError, TypeError, orjson.JSONDecodeError):
        raise ProviderError(
            "A tool call needs function.name and function.arguments (JSON text).",
            code="provider_refused",
            retryable=False,
            status=400,
            param="messages",
        ) from None


def _tool_calls(calls: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{index}",
            "type": "function",
            "function": {
                "name": call["function"]["name"],
                "arguments": orjson.dumps(call["function"].get("arguments", {})).decode(),
            },
        }
        for index, call in enumerate(calls)
    ]


def _finish(document: Mapping[str, Any]) -> str:
    if (document.get("message") or {}).get("tool_calls"):
        return "tool_calls"
    return "length" if document.get("done_reason") == "length" else "stop"


def _usage(document: Mapping[str, Any]) -> dict[str, int]:
    tokens_in, tokens_out = int(document.get("prompt_eval_count") or 0), int(document.get("eval_count") or 0)
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def _id(document: Mapping[str, Any]) -> str:
    return f"chatcmpl-{document.get('created_at', '')}"
