"""What is asked in a run and what came of it, without OpenAI's client: a web process has no use for its 30 MB."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID


class Question(NamedTuple):
    item: int
    repetition: int
    body: Mapping[str, Any]  # a chat request without model and stream


@dataclass(slots=True)
class Answer:
    """What came of a question. Times in ms, as the client sees them; ``outcome`` as ``Result.Outcome``."""

    outcome: str = "failed"
    error: str = ""
    trace_id: UUID | None = None
    text: str = ""
    cache: str = ""
    latency_ms: float | None = None
    ttft_ms: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
