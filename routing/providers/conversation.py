"""OpenAI's chat messages as a conversation, for APIs that keep the system's words apart and want turns that alternate.

What such an API cannot be told at all is the client's mistake: a ProviderError that is not retried.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from routing.providers.http import refused


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """Inline as base64 with its media type, or by ``url``."""

    media_type: str = ""
    data: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model called before."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gave back."""

    call_id: str
    text: str


Part = Text | Image | Call | Result


@dataclass(slots=True)
class Turn:
    role: Literal["user", "assistant"]
    parts: list[Part]


@dataclass(slots=True)
class Conversation:
    system: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    description: str
    schema: dict[str, Any]


def read_conversation(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """Messages that follow each other in one role become one turn. Raises ProviderError."""
    found = Conversation()
    for message in messages:
        if message["role"] in ("system", "developer"):
            found.system += [part.text for part in _content(message.get("content")) if isinstance(part, Text)]
            continue
        role: Literal["user", "assistant"] = "assistant" if message["role"] == "assistant" else "user"
        parts = list(_parts(message))
        if found.turns and found.turns[-1].role == role:
            found.turns[-1].parts += parts
        elif parts:
            found.turns.append(Turn(role, parts))
    return found


def _parts(message: Mapping[str, Any]) -> Iterator[Part]:
    if message["role"] in ("tool", "function"):
        texts = [part.text for part in _content(message.get("content")) if isinstance(part, Text)]
        yield Result(str(message.get("tool_call_id") or message.get("name") or ""), "\n".join(texts))
        return
    yield from _content(message.get("content"))
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise refused("“tool_calls” must be a list.", "messages")
    yield from map(_call, calls)


def _content(content: Any) -> Iterator[Text | Image]:
    """Empty texts are left out: APIs with turns refuse them."""
    for part in content if isinstance(content, list) else [{"type": "text", "text": content or ""}]:
        if part["type"] == "text":
            if part["text"]:
                yield Text(part["text"])
        elif part["type"] == "image_url":
            yield _image(part)
        else:
            raise refused(f"This model takes no content of type “{part['type'][:40]}”.", "messages")


def _image(part: Mapping[str, Any]) -> Image:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str):
        raise refused("An image needs “image_url.url”.", "messages")
    if not url.startswith("data:"):
        return Image(url=url)
    head, comma, data = url[5:].partition(",")
    media_type, _, encoding = head.partition(";")
    if not comma or encoding != "base64":
        raise refused("An inline image must look like data:image/png;base64,….", "messages")
    return Image(media_type, data)


def _call(call: Any) -> Call:
    try:
        arguments = orjson.loads(call["function"]["arguments"] or b"{}")
        return Call(str(call["id"]), str(call["function"]["name"]), dict(arguments))
    except (KeyError, TypeError, ValueError):
        raise refused(
            "A tool call needs id, function.name and function.arguments (a JSON object).", "messages"
        ) from None


def read_tools(payload: Mapping[str, Any]) -> list[Tool]:
    """Raises ProviderError."""
    tools = []
    for tool in _list(payload, "tools"):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise refused("A tool needs “function.name”.", "tools")
        schema = function.get("parameters") or {"type": "object", "properties": {}}
        tools.append(Tool(function["name"], str(function.get("description") or ""), schema))
    return tools


def read_tool_choice(payload: Mapping[str, Any]) -> tuple[str, str]:
    """(auto | none | required | tool | "", the tool's name). Raises ProviderError."""
    choice = payload.get("tool_choice")
    if choice is None or choice in ("auto", "none", "required"):
        return choice or "", ""
    function = choice.get("function") if isinstance(choice, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise refused("“tool_choice” must be auto, none, required or a function by name.", "tool_choice")
    return "tool", function["name"]


def read_stops(payload: Mapping[str, Any]) -> list[str]:
    """Raises ProviderError."""
    if isinstance(payload.get("stop"), str):
        return [payload["stop"]]
    stops = _list(payload, "stop")
    if not all(isinstance(stop, str) for stop in stops):
        raise refused("“stop” must be text or a list of texts.", "stop")
    return stops


def _list(payload: Mapping[str, Any], name: str) -> list[Any]:
    value = payload.get(name)
    if value is not None and not isinstance(value, list):
        raise refused(f"“{name}” must be a list.", name)
    return value or []


def read_schema(payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON schema that the answer must fit; None for free text. Raises ProviderError."""
    wanted = payload.get("response_format")
    if wanted is None or (isinstance(wanted, dict) and wanted.get("type") == "text"):
        return None
    described = wanted.get("json_schema") if isinstance(wanted, dict) else None
    if not isinstance(described, dict) or not isinstance(described.get("schema"), dict):
        raise refused("This model needs “response_format.json_schema.schema”.", "response_format")
    return dict(described["schema"])


def require_one_answer(payload: Mapping[str, Any]) -> None:
    if payload.get("n") not in (None, 1):
        raise refused("This model gives one answer a request: leave “n” out.", "n")


def limit_of(payload: Mapping[str, Any]) -> int:
    """Output tokens; the pipeline always sets one of the two."""
    return int(payload.get("max_completion_tokens") or payload["max_tokens"])
