"""The line that stands for a request in a list: the start of what the user said last."""

from collections.abc import Mapping
from typing import Any

LENGTH = 200
LOOKED_AT = 2_000  # characters; a prompt may have millions


def prompt_line(body: Mapping[str, Any]) -> str:
    """Empty if no user message carries text. Any JSON may come in: a rejected request leaves a trace, too."""
    messages = body.get("messages")
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, Mapping) and message.get("role") == "user":
            return " ".join(_text(message.get("content"))[:LOOKED_AT].split())[:LENGTH]
    return ""


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return " ".join(text for text in texts if isinstance(text, str))
