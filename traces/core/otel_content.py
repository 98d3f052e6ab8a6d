"""Prompts and answers as ``gen_ai.input.messages`` and ``gen_ai.output.messages`` want them: JSON in a string.

Source: the JSON schemas of the semantic conventions for generative AI. Text beyond LONGEST characters in all is cut,
the oldest of a prompt first; what is not text is named, not copied.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

LONGEST = 16_384
Part = dict[str, Any]


def input_messages(request: Any) -> str | None:
    """Of a client's body, whichever endpoint it came to; None if it is not kept."""
    if not isinstance(request, Mapping):
        return None
    messages = request.get("messages")
    if not isinstance(messages, list):
        said = request.get("prompt", request.get("input"))
        messages = [{"role": "user", "content": text} for text in (said if isinstance(said, list) else [said])]
    read = [(_text(one.get("role")), _parts(one)) for one in messages if isinstance(one, Mapping)]
    return _written([{"role": role, "parts": parts} for role, parts in read])


def output_messages(response: Any) -> str | None:
    """Of a ``chat.completion``; None for anything else."""
    found = [
        {"role": "assistant", "parts": _parts(message), "finish_reason": _text(choice.get("finish_reason"))}
        for choice in _choices(response)
        if isinstance(message := choice.get("message"), Mapping)
    ]
    return _written(found) if found else None


def finish_reasons(response: Any) -> list[str]:
    return [reason for choice in _choices(response) if isinstance(reason := choice.get("finish_reason"), str)]


def _choices(response: Any) -> Sequence[Mapping[str, Any]]:
    choices = response.get("choices") if isinstance(response, Mapping) else None
    return [one for one in choices if isinstance(one, Mapping)] if isinstance(choices, list) else []


def _parts(message: Mapping[str, Any]) -> list[Part]:
    content = message.get("content")
    if message.get("role") == "tool":
        return [{"type": "tool_call_response", "id": _text(message.get("tool_call_id")), "response": _text(content)}]
    given = content if isinstance(content, list) else [content]
    parts = [_part(one) for one in given if one is not None]
    calls = message.get("tool_calls")
    return parts + [_call(one) for one in (calls if isinstance(calls, list) else []) if isinstance(one, Mapping)]


def _part(given: Any) -> Part:
    if isinstance(given, Mapping) and given.get("type") != "text":
        return {"type": _text(given.get("type"))}
    return {"type": "text", "content": _text(given.get("text") if isinstance(given, Mapping) else given)}


def _call(given: Mapping[str, Any]) -> Part:
    function = given.get("function")
    named: Mapping[str, Any] = function if isinstance(function, Mapping) else {}
    said = {"name": _text(named.get("name")), "arguments": _text(named.get("arguments"))}
    return {"type": "tool_call", "id": _text(given.get("id")), **said}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _written(messages: list[dict[str, Any]]) -> str:
    """The last messages that have room, each of them cut where it must be."""
    left, kept = LONGEST, []
    for message in reversed(messages):
        if left <= 0:
            break
        for part in message["parts"]:
            for name, text in part.items():
                part[name] = text[: max(0, left)]
                left -= len(part[name])
        left -= len(message["role"]) + 1
        kept.append(message)
    return orjson.dumps(kept[::-1]).decode()
