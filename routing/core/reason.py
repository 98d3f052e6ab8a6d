"""One line of a decision trace."""

from typing import NamedTuple


class Reason(NamedTuple):
    """``why`` is a sentence."""

    step: str
    subject: str
    outcome: str
    why: str
