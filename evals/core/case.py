"""What a scorer is given, and what it says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NO_REFERENCE = "The row has no reference."


@dataclass(frozen=True, slots=True)
class Case:
    """An answer and what it may be held against; None: there is none. ``baseline`` is the answer that the baseline's
    run got to the same row."""

    messages: Sequence[Mapping[str, Any]]
    answer: str
    reference: str | None = None
    baseline: str | None = None
    answer_schema: Any = None
    category: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """``value`` from 0 (worst) to 1 (best); None: nothing can be said. ``why``: a sentence, which may quote the answer,
    so it is for those who may read answers."""

    value: float | None
    why: str

    def __post_init__(self) -> None:
        if self.value is not None and not 0 <= self.value <= 1:
            raise ValueError(f"a score is from 0 to 1, not {self.value!r}")
