"""Names under which an answer may be found again.

A body is what `orjson.loads` returns for the request. Whatever could change the answer is part of the name; what is
left out is listed here and nowhere else.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson

# How the answer travels (stream) or what is written beside it (metadata, store) does not change what it says.
NOT_PART_OF_THE_ANSWER = ("stream", "stream_options", "metadata", "store")

LONGEST_QUESTION = 1_000  # characters

# A value other than these makes the answer more than one plain text, or dependent on the world outside the request.
_PLAIN_VALUES: dict[str, tuple[Any, ...]] = {
    "tools": (None, []),
    "functions": (None, []),
    "response_format": (None, {"type": "text"}),
    "n": (None, 1),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "audio": (None,),
    "modalities": (None, ["text"]),
    "web_search_options": (None,),
}


def exact_key(*, tenant: str, signature: str, body: Mapping[str, Any], scope: str) -> str:
    """The Redis key of a request. `scope` is "" or the id of the only API key that may reuse the answer."""
    return f"relay:{{{tenant}}}:exact:{_digest(signature, scope, _answer_part(body)).hex()}"


def semantic_scope(*, signature: str, body: Mapping[str, Any], scope: str) -> bytes:
    """32 bytes over all but the question itself, for a body that `semantic_text` accepts."""
    part = _answer_part(body)
    *earlier, last = part["messages"]
    part["messages"] = [*earlier, {name: value for name, value in last.items() if name != "content"}]
    return _digest(signature, scope, part)


def semantic_text(body: Mapping[str, Any]) -> str | None:
    """The question of a request whose answer may serve another wording, else None."""
    if any(name in body and body[name] not in plain for name, plain in _PLAIN_VALUES.items()):
        return None
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or last.get("role") != "user":
        return None
    text = _plain_text(last.get("content"))
    if text is None or "\0" in text or not text.strip():  # no text column holds a NUL
        return None
    return text if len(text) <= LONGEST_QUESTION else None


def entry_id(*, scope: bytes, text: str) -> UUID:
    """One entry a question and scope."""
    return UUID(bytes=sha256(scope + text.encode()).digest()[:16])


def fingerprint(*parts: str) -> bytes:
    """32 bytes that tell these texts from all others, wherever one ends and the next begins."""
    return sha256(orjson.dumps(parts)).digest()


def _plain_text(content: object) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [
        part["text"]
        for part in content
        if isinstance(part, dict) and part.keys() == {"type", "text"} and part["type"] == "text"
        if isinstance(part["text"], str)
    ]
    return "\n".join(texts) if len(texts) == len(content) else None


def _answer_part(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in NOT_PART_OF_THE_ANSWER}


def _digest(signature: str, scope: str, part: dict[str, Any]) -> bytes:
    return sha256(orjson.dumps([signature, scope, part], option=orjson.OPT_SORT_KEYS)).digest()
