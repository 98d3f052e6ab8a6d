"""Answers in OpenAI's shape: streams put together, stored answers replayed as streams, usage read or counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from routing.core.features import estimate_tokens
from routing.core.nesting import may_be_deep, read_json
from routing.core.usage import Asked, Claim, Text, believed
from routing.providers.base import ProviderError

MAX_KEPT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Usage:
    tokens_in: int
    tokens_out: int
    source: str  # provider | estimated | corrected
    correction: str = ""  # what was corrected, with both numbers


def read_completion(raw: bytes) -> dict[str, Any]:
    """A provider's whole answer. Raises ProviderError if it is not a ``chat.completion``."""
    try:
        answer = read_json(raw)
    except ValueError:
        raise ProviderError("The answer is not JSON, or nested too deep.", code="garbage") from None
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices or not all(_has_message(choice) for choice in choices):
        raise ProviderError("The answer is not a chat completion.", code="garbage")
    return dict(answer)


def _has_message(choice: Any) -> bool:
    return isinstance(choice, dict) and isinstance(choice.get("message"), dict)


def read_chunk(raw: bytes) -> dict[str, Any]:
    """One event of a stream. Raises ProviderError for garbage or an error that the provider sent in the stream."""
    try:
        chunk = read_json(raw)
    except ValueError:
        raise ProviderError("An event of the stream is not JSON, or nested too deep.", code="garbage") from None
    if not isinstance(chunk, dict):
        raise ProviderError("An event of the stream is not an object.", code="garbage")
    if chunk.get("error"):
        raise ProviderError("The provider reported an error in its stream.", code="provider_error")
    if not isinstance(chunk.get("choices"), list):
        raise ProviderError("An event of the stream has no choices.", code="garbage")
    return chunk


def glance(event: bytes) -> None:
    """A cheap look at an event that is passed through: only what seems odd is parsed. Raises ProviderError."""
    if event[:1] != b"{" or event[-1:] != b"}" or b'"error"' in event or may_be_deep(event):
        read_chunk(event)


def has_content(chunk: Mapping[str, Any]) -> bool:
    """Whether a chunk carries something that the client could use: text, a tool call, a refusal or an end."""
    for choice in chunk["choices"]:
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict) and any(value for name, value in delta.items() if name != "role"):
            return True
        if isinstance(choice, dict) and choice.get("finish_reason"):
            return True
    return False


def is_usage(event: bytes) -> bool:
    """Whether an event is the usage chunk that Relay asked for: cheap test first, then the exact one."""
    if b'"usage"' not in event or b'"choices"' not in event:
        return False
    try:
        chunk = orjson.loads(event)
    except orjson.JSONDecodeError:
        return False
    return isinstance(chunk, dict) and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)


def assemble(events: Sequence[bytes]) -> dict[str, Any]:
    """The ``chat.completion`` that a stream's events amount to. Events that are not chunks are left out."""
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for event in events:
        try:
            chunk = read_chunk(event)
        except ProviderError:
            continue
        for name, value in chunk.items():
            if name not in ("choices", "object") and value is not None:
                whole[name] = value
        for choice in chunk["choices"]:
            if isinstance(choice, dict):
                _merge(choices, choice)
    whole["object"] = "chat.completion"
    whole["choices"] = [choices[index] for index in sorted(choices)]
    for choice in choices.values():
        for call in choice["message"].get("tool_calls", ()):
            del call["index"]  # only streams have it
    return whole


def _merge(choices: dict[int, dict[str, Any]], part: Mapping[str, Any]) -> None:
    index = part.get("index") if isinstance(part.get("index"), int) else 0
    empty = {"index": index, "message": {"role": "assistant", "content": None}, "finish_reason": None}
    choice = choices.setdefault(index or 0, empty)
    if part.get("finish_reason"):
        choice["finish_reason"] = part["finish_reason"]
    if isinstance(part.get("logprobs"), dict):
        _merge_logprobs(choice.setdefault("logprobs", {}), part["logprobs"])
    delta = part.get("delta")
    for name, value in delta.items() if isinstance(delta, dict) else ():
        message = choice["message"]
        if name == "tool_calls":
            if isinstance(value, list):
                _merge_calls(message.setdefault(name, []), value)
        elif isinstance(value, str) and name != "role":
            _append(message, name, value)
        elif value is not None:
            message[name] = value


def _merge_logprobs(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    for name, value in part.items():
        if isinstance(value, list):
            whole[name] = whole.get(name, []) + value


def _merge_calls(calls: list[dict[str, Any]], parts: Sequence[Any]) -> None:
    for part in parts:
        if not isinstance(part, dict):
            continue
        index = part.get("index", len(calls))
        call = next((item for item in calls if item["index"] == index), None)
        if call is None:
            call = {"index": index}
            calls.append(call)
        for name, value in part.items():
            if isinstance(value, dict):
                call[name] = _extended(call.get(name), value)
            elif value and name != "index":
                call[name] = value


def _extended(before: Any, pieces: Mapping[str, Any]) -> dict[str, Any]:
    """“function” and its likes, whose texts come in pieces."""
    texts = before if isinstance(before, dict) else {}
    for name, piece in pieces.items():
        if isinstance(piece, str):
            _append(texts, name, piece)
    return texts


def _append(texts: dict[str, Any], name: str, piece: str) -> None:
    before = texts.get(name)
    texts[name] = (before if isinstance(before, str) else "") + piece


def is_complete(answer: Mapping[str, Any]) -> bool:
    """Whether an answer may be stored: every choice ended by itself or by its limit."""
    choices = answer.get("choices") or []
    return bool(choices) and all(choice.get("finish_reason") in ("stop", "length", "tool_calls") for choice in choices)


def usage_of(answer: Mapping[str, Any], asked: Asked) -> Usage:
    """What the provider says it used; our own count, marked as such, where it says nothing or what cannot be."""
    text = _text_of(answer.get("choices") or [])
    claim = _claim(answer.get("usage"))
    if claim is None:
        return Usage(asked.tokens_in, text.tokens, "estimated")
    tokens_in, tokens_out, correction = believed(claim, asked, text)
    return Usage(tokens_in, tokens_out, "corrected" if correction else "provider", correction)


def _claim(usage: Any) -> Claim | None:
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not (is_count(tokens_in) and is_count(tokens_out) and (tokens_in or tokens_out)):
        return None
    details = usage.get("completion_tokens_details")
    hidden = details.get("reasoning_tokens") if isinstance(details, dict) else 0
    return Claim(int(tokens_in or 0), int(tokens_out or 0), int(hidden or 0) if is_count(hidden) else 0)


def reported(documents: Sequence[bytes], asked: Asked) -> tuple[int, int]:
    """Tokens in and out that a failed answer was charged with: what its last usage says, as far as that can be."""
    claim: Claim | None = None
    for document in documents:
        try:
            found = orjson.loads(document)
        except orjson.JSONDecodeError:
            continue
        claim = (_claim(found.get("usage")) if isinstance(found, dict) else None) or claim
    if claim is None:
        return 0, 0
    unseen = Text(tokens=0, chars=0, size=claim.tokens_out, choices=1)
    tokens_in, tokens_out, _ = believed(claim, asked, unseen)
    return tokens_in, tokens_out


def _text_of(choices: Sequence[Mapping[str, Any]]) -> Text:
    tokens = chars = size = 0
    for choice in choices:
        message = choice.get("message") or {}
        raw, content = orjson.dumps(message), message.get("content")
        said = content if isinstance(content, str) else raw.decode()
        tokens, size = tokens + estimate_tokens(said), size + len(raw)
        chars += len(content) if isinstance(content, str) else 0
    return Text(tokens, chars, size, len(choices))


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def replay(answer: Mapping[str, Any], *, include_usage: bool) -> list[bytes]:
    """A stored ``chat.completion`` as the events of a stream: each choice in one piece, its end, the usage."""
    common = {name: answer.get(name) for name in ("id", "created", "model", "system_fingerprint") if name in answer}
    common["object"] = "chat.completion.chunk"
    events = []
    for choice in answer["choices"]:
        delta = {name: value for name, value in choice["message"].items() if value is not None}
        if isinstance(delta.get("tool_calls"), list):
            calls = [call for call in delta["tool_calls"] if isinstance(call, dict)]
            delta["tool_calls"] = [{**call, "index": number} for number, call in enumerate(calls)]
        index = choice.get("index", 0)
        start = {"index": index, "delta": delta, "finish_reason": None}
        if choice.get("logprobs"):
            start["logprobs"] = choice["logprobs"]
        events.append({**common, "choices": [start]})
        end = {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason")}
        events.append({**common, "choices": [end]})
    if include_usage:
        events.append({**common, "choices": [], "usage": answer.get("usage")})
    return [orjson.dumps(event) for event in events]
