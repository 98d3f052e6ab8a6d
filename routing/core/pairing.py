"""Which answers are scored beside each other: a drawn share of the candidate's, each with the base's that came nearest
before or after it, so that both were given at much the same time. No answer is in two pairs."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from routing.core.canary import Call
from routing.core.split import draw_of

Pair = tuple[UUID, UUID]  # traces of the candidate's answer and of the base's


class Waiting(NamedTuple):
    """The newest answer of an arm that is in no pair yet; at most one of the two, since both would make a pair."""

    candidate: UUID | None = None
    base: UUID | None = None


def pairs_in(calls: Iterable[Call], waiting: Waiting, percent: float) -> tuple[list[Pair], Waiting]:
    """``percent`` of the candidate's answers take part. Which ones follows from their traces alone, not from what they
    say or how long they took."""
    candidate, base = waiting
    made: list[Pair] = []
    for call in calls:
        if call.trace is None:
            continue
        if not call.candidate:
            base = call.trace
        elif draw_of(f"score {call.trace}") * 100 < percent:
            candidate = call.trace
        if candidate is not None and base is not None:
            made.append((candidate, base))
            candidate = base = None
    return made, Waiting(candidate, base)
