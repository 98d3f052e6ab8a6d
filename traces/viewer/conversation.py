"""The messages of a request and of its answer, ready to read. Nothing is loaded from where a message points to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from traces.core.formats import size
from traces.viewer.lenient import items, mapping, mappings, text
from traces.viewer.rawjson import pretty

ROLES = {"system", "developer", "user", "assistant", "tool", "function"}
FOLD_AT = 1_200  # characters
MOST_TEXTS = 50  # of an embeddings request; the raw request shows all


@dataclass(frozen=True, slots=True)
class Block:
    """``kind``: text, json, call, media or refusal. ``title`` names the tool or the kind of media."""

    kind: str
    body: str
    title: str = ""

    @property
    def long(self) -> bool:
        return len(self.body) > FOLD_AT


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    blocks: tuple[Block, ...]
    answer: bool = False


def conversation(request: object, response: object) -> list[Message]:
    asked = [read_message(message) for message in asked_in(mapping(request))]
    choices = mappings(mapping(response).get("choices"))
    return asked + [read_message(mapping(choice.get("message")), answer=True) for choice in choices]


def asked_in(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The messages of a chat, the prompt of /v1/infer, or the texts to embed."""
    if "messages" in request:
        return mappings(request["messages"])
    given = request.get("prompt", request.get("input"))
    texts = [item for item in (items(given) or [given]) if isinstance(item, str)]
    return [{"role": "user", "content": item} for item in texts[:MOST_TEXTS]]


def read_message(message: Mapping[str, Any], *, answer: bool = False) -> Message:
    role = text(message.get("role")) or ("assistant" if answer else "user")
    blocks = tuple(block for block in read_blocks(message, role) if block.body or block.title)
    return Message(role if role in ROLES else "user", blocks or (Block("text", "", "Empty message"),), answer)


def read_blocks(message: Mapping[str, Any], role: str) -> Iterator[Block]:
    content = message.get("content")
    if isinstance(content, str):
        yield as_json(content) if role in ("tool", "function") else Block("text", content)
    for part in items(content):
        yield read_part(mapping(part))
    if refusal := message.get("refusal"):
        yield Block("refusal", text(refusal), "Refusal")
    calls = [mapping(call.get("function")) for call in mappings(message.get("tool_calls"))]
    for call in [*calls, mapping(message.get("function_call"))]:
        if call:
            yield Block("call", pretty(call.get("arguments")), text(call.get("name")) or "a tool")


def read_part(part: Mapping[str, Any]) -> Block:
    kind = text(part.get("type"))
    if kind == "text":
        return Block("text", text(part.get("text")))
    if kind == "refusal":
        return Block("refusal", text(part.get("refusal")), "Refusal")
    if kind == "image_url":
        return Block("media", where(text(mapping(part.get("image_url")).get("url"))), "Image")
    if kind == "input_audio":
        audio = mapping(part.get("input_audio"))
        return Block("media", f"{text(audio.get('format'))} {size(len(text(audio.get('data'))))}".strip(), "Audio")
    return Block("media", "", kind or "Unknown part")


def where(url: str) -> str:
    if url.startswith("data:"):
        return f"{url[5:].partition(';')[0][:40]} {size(len(url))}"
    try:
        return urlsplit(url).hostname or "elsewhere"
    except ValueError:
        return "elsewhere"


def as_json(content: str) -> Block:
    shown = pretty(content)
    return Block("json", shown) if shown != content else Block("text", content)
