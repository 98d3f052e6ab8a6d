"""What a plan is decided on: a few numbers and names taken from a request, cheap enough for every one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from routing.core.split import Split
from routing.core.trial import Trial

CHARS_PER_TOKEN = 4  # of UTF-8; English prose has 4 to 4.5, code and other scripts fewer
TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 765  # OpenAI's price of one 1024 x 1024 image


@dataclass(frozen=True, slots=True)
class Features:
    """Token counts are estimates. ``output_tokens`` is what the client asked for; None if it left that open, 0 if
    nothing is generated (embeddings). ``split`` and ``trial``: the sides on which its route's split and canary put the
    request.

    ``task`` and ``task_why`` come from ``tasks.task_of``.
    """

    model: str
    key: str
    input_tokens: int
    output_tokens: int | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    split: Split | None = None
    task: str = "chat"
    task_why: str = ""
    trial: Trial | None = None


def estimate_tokens(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass")) // CHARS_PER_TOKEN + 1


def estimate_input(body: Mapping[str, Any]) -> int:
    """Tokens of the messages and tools, from their lengths: no tokenizer runs on the request's path."""
    total = sum(TOKENS_PER_MESSAGE + _content(message.get("content")) + _calls(message) for message in body["messages"])
    tools = body.get("tools")
    return total + (len(str(tools)) // CHARS_PER_TOKEN if tools else 0)


def _content(content: Any) -> int:
    if isinstance(content, str):
        return estimate_tokens(content)
    parts: Iterable[Any] = content or ()
    return sum(estimate_tokens(part["text"]) if part["type"] == "text" else TOKENS_PER_IMAGE for part in parts)


def _calls(message: Mapping[str, Any]) -> int:
    calls = message.get("tool_calls")
    return len(str(calls)) // CHARS_PER_TOKEN if calls else 0
