"""One line of a decision trace."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """``why`` is a sentence."""

    step: str
    subject: str
    outcome: str
    why: str
