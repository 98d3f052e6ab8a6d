"""A client's request as a frozen value. What Relay does not interpret is kept and passed on unchanged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from routing.core.nesting import read_json
from routing.core.parameters import OF_MESSAGES, OF_PARTS, SHAPES, Shape, misfit
from traces.core.trace_context import Parent

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MAX_OUTPUT_TOKENS = 1_000_000
ANY_MODEL = "auto"  # what a client says who leaves the choice to Relay
PROMPT_LINE = 200
Json = Mapping[str, Any]


class InvalidRequest(Exception):
    """The client's mistake, with the field that holds it. ``code`` is OpenAI's where it has one."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class CacheControl:
    """From the x-relay-cache header: neither look up nor store, or take only answers younger than ``max_age_s``;
    ``private``: only answers that the same API key was given, and nobody else is given this one."""

    lookup: bool = True
    store: bool = True
    max_age_s: int | None = None
    private: bool = False


@dataclass(frozen=True, slots=True)
class Called:
    """How a request came in: which kind it is (``kinds.KINDS``), by which route's path, and what its headers say."""

    request_id: str
    kind: str = "chat"  # chat | infer | embeddings
    path: str = ""
    cache: CacheControl = CacheControl()
    metadata: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str = ""
    parent: Parent | None = None  # of its traceparent header
    policy: str = ""  # of its x-relay-policy header


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """``body`` is in OpenAI's words; ``asked`` is the client's own body where that is another. ``policy`` is the one
    that the client chose, by name or as name@version, else the route's."""

    body: Json
    model: str
    stream: bool
    include_usage: bool
    max_tokens: int | None
    request_id: str
    cache: CacheControl = CacheControl()
    metadata: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str = ""
    kind: str = "chat"
    path: str = ""
    policy: str = ""
    asked: Json | None = None
    parent: Parent | None = None

    @classmethod
    def unreadable(cls, called: Called) -> "ChatRequest":
        """Stands in the trace of a request that could not be parsed."""
        return cls(
            body={},
            model="",
            stream=False,
            include_usage=False,
            max_tokens=None,
            request_id=called.request_id,
            kind=called.kind,
            path=called.path,
            parent=called.parent,
        )


def parse_chat(raw: bytes, called: Called) -> ChatRequest:
    """Raises InvalidRequest that names the field."""
    body = read_body(raw)
    model = body.get("model", ANY_MODEL if called.path else None)
    if not isinstance(model, str) or not model:
        raise InvalidRequest("“model” must name a model, for example one of GET /v1/models.", "model")
    _check_messages(body.get("messages"))
    for name, (low, high) in NUMBERS.items():
        _check_number(body, name, low, high)
    for name, (least, most) in INTEGERS.items():
        check_integer(body, name, least, most)
    _check_shapes(body, SHAPES)
    stream = _boolean(body, "stream")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise InvalidRequest("“stream_options” must be an object.", "stream_options")
    if options and not isinstance(options.get("include_usage", False), bool):
        raise InvalidRequest("“include_usage” must be true or false.", "stream_options.include_usage")
    if options is not None and not stream:
        raise InvalidRequest("“stream_options” is only allowed when “stream” is true.", "stream_options")
    own = body.get("metadata")
    if own is not None and not (isinstance(own, dict) and all(isinstance(item, str) for item in own.values())):
        raise InvalidRequest("“metadata” must map text to text.", "metadata")
    refuse_nul(raw, body)
    limit = body.get("max_completion_tokens")
    return ChatRequest(
        body=body,
        model=model,
        stream=stream,
        include_usage=bool(options and options.get("include_usage") is True),
        max_tokens=body.get("max_tokens") if limit is None else limit,
        request_id=called.request_id,
        cache=called.cache,
        metadata={**(own or {}), **called.metadata},
        idempotency_key=called.idempotency_key,
        path=called.path,
        policy=called.policy,
        parent=called.parent,
    )


def read_body(raw: bytes) -> dict[str, Any]:
    try:
        body = read_json(raw)
    except ValueError as error:
        raise InvalidRequest(f"The body is not valid JSON: {str(error)[:120]}.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return body


def checked_key(key: str) -> str:
    if len(key) > 255 or not (key.isascii() and key.isprintable()):
        raise InvalidRequest("Idempotency-Key takes up to 255 printable ASCII characters.", "Idempotency-Key")
    return key


def parse_cache_header(header: str) -> CacheControl:
    """``no-cache``, ``no-store``, ``private`` and ``max-age=N``, separated by commas."""
    lookup = store = True
    private = False
    max_age_s: int | None = None
    for word in filter(None, (part.strip().lower() for part in header.split(","))):
        if word == "no-cache":
            lookup = False
        elif word == "no-store":
            lookup = store = False
        elif word == "private":
            private = True
        elif word.startswith("max-age=") and word[8:].isdecimal() and len(word) < 20:
            max_age_s = int(word[8:])
        else:
            raise InvalidRequest("x-relay-cache takes no-cache, no-store, private or max-age=SECONDS.", "x-relay-cache")
    return CacheControl(lookup, store, max_age_s, private)


NUMBERS = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
}
INTEGERS = {"max_tokens": (1, MAX_OUTPUT_TOKENS), "max_completion_tokens": (1, MAX_OUTPUT_TOKENS), "n": (1, 128)}


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("“messages” must be a list with at least one message.", "messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidRequest("Each message must be an object.", f"messages[{index}]")
        if message.get("role") not in ROLES:
            raise InvalidRequest(f"“role” must be one of {', '.join(ROLES)}.", f"messages[{index}].role")
        content = message.get("content")
        if isinstance(content, list):
            _check_parts(content, index)
        elif content is not None and not isinstance(content, str):
            raise InvalidRequest("“content” must be text, a list of parts, or null.", f"messages[{index}].content")
        elif content is None and message["role"] not in ("assistant", "function"):
            raise InvalidRequest("“content” is missing.", f"messages[{index}].content")
        _check_shapes(message, OF_MESSAGES, f"messages[{index}].")


def _check_parts(parts: list[Any], index: int) -> None:
    for number, part in enumerate(parts):
        at = f"messages[{index}].content[{number}]"
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise InvalidRequest("Each content part must be an object with a “type”.", at)
        kind = part["type"]
        if kind in OF_PARTS and part.get(kind) is None:
            raise InvalidRequest(f"A part of type {kind} needs “{kind}”.", f"{at}.{kind}")
        _check_shapes(part, OF_PARTS, f"{at}.")


def _check_shapes(given: Json, shapes: Mapping[str, Shape], before: str = "") -> None:
    if (wrong := misfit(given, shapes)) is not None:
        name, words = wrong
        raise InvalidRequest(f"“{name}” must be {words}.", before + name)


def _check_number(body: Json, name: str, low: float, high: float) -> None:
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidRequest(f"“{name}” must be a number from {low:g} to {high:g}.", name)


def check_integer(body: Json, name: str, least: int, most: int) -> None:
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidRequest(f"“{name}” must be a whole number from {least:,} to {most:,}.", name)


def _boolean(body: Json, name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"“{name}” must be true or false.", name)
    return value is True


def refuse_nul(raw: bytes, body: Json) -> None:
    if b"\\u0000" in raw and (nul := _nul(dict(body))) is not None:
        raise InvalidRequest("NUL characters (\\u0000) are not allowed.", nul)


def _nul(value: str | dict[str, Any] | list[Any], path: str = "") -> str | None:
    """Where a NUL character stands (PostgreSQL cannot store one, and no model means one), else None."""
    if isinstance(value, str):
        return path if "\0" in value else None
    if isinstance(value, dict):
        for key, item in value.items():
            if "\0" in key:
                return path or key.replace("\0", "")
            if isinstance(item, str | dict | list) and (at := _nul(item, f"{path}.{key}" if path else key)) is not None:
                return at
        return None
    for index, item in enumerate(value):
        if isinstance(item, str | dict | list) and (at := _nul(item, f"{path}[{index}]")) is not None:
            return at
    return None


def prompt_line(body: Json) -> str:
    """The start of the last user message, on one line, for lists."""
    for message in reversed(body.get("messages", ())):
        if message["role"] == "user":
            content = message.get("content")
            parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
            return one_line(" ".join(part["text"][: 2 * PROMPT_LINE] for part in parts if part["type"] == "text"))
    return ""


def one_line(text: str) -> str:
    return " ".join(text[: 2 * PROMPT_LINE].split())[:PROMPT_LINE]
