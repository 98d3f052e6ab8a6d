"""A route's traffic divided by shares: who is on which arm, and whether what was seen agrees with the shares.

The arm depends on a text alone (a key, a user, a conversation or the trace), so no process has to remember anybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import sqrt
from typing import Any

WHOLE = 100  # percent
Z99 = 2.5758  # two-sided 99 % of the standard normal distribution
LEAST_EXPECTED = 5  # below that the normal distribution says little of a binomial one
_DRAWS = 2**53  # what a float in [0, 1) tells apart


@dataclass(frozen=True, slots=True)
class Split:
    """``arm`` is the deployment asked first, ``sticky`` what the draw was made of: key, user, conversation, request."""

    shares: Mapping[str, int]
    sticky: str
    draw: float
    arm: str

    @property
    def why(self) -> str:
        shares = "/".join(str(share) for share in self.shares.values())
        return f"Split {shares}, by {self.sticky}: a draw of {self.draw:.3f} is the arm {self.arm}."


def draw_of(text: str) -> float:
    """The same text always draws the same number in [0, 1); different texts draw as if by chance."""
    return (int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]) >> 11) / _DRAWS


def arm_of(shares: Sequence[int], draw: float) -> int:
    """The index of the arm. ``shares`` are not negative and not all zero; they need not sum to 100.

    Arms keep their order on the line from 0 to 1, so that a grown first share keeps everybody whom it had.
    """
    left = draw * sum(shares)
    for index, share in enumerate(shares):
        left -= share
        if left < 0:
            return index
    return max(index for index, share in enumerate(shares) if share)  # rounding at the very end of the line


def problem_with(shares: Sequence[int | None]) -> str | None:
    """What is wrong with the shares of a route's candidates; none at all is no split."""
    given = [share for share in shares if share is not None]
    if not given:
        return None
    if len(given) < len(shares):
        return "Give every candidate a share, or none: 0 is for one that only steps in."
    if min(given) < 0 or sum(given) != WHOLE:
        return f"The shares must sum to {WHOLE}; these sum to {sum(given)}."
    return None


def split_of(shares: Mapping[str, int], sticky: str, *, identity: str, salt: str) -> Split:
    """``salt`` keeps the splits of different routes apart: nobody is on the first arm of all of them."""
    draw = draw_of(f"{salt}\n{sticky}\n{identity}")
    return Split(shares, sticky, draw, list(shares)[arm_of(list(shares.values()), draw)])


def sticks_to(sticky: str, body: Mapping[str, Any], *, key: str, user: str, request: str) -> tuple[str, str]:
    """What stays on its side and its identity. Without a user or a conversation each request goes by itself.

    ``user`` is for clients that cannot set the body's “user”.
    """
    if sticky == "key":
        return "key", key
    if sticky == "user":
        named = body.get("user")
        said = named if isinstance(named, str) and named else user
        return ("user", said) if said else ("request", request)
    if sticky == "conversation":
        start = _start(body.get("messages", ()))
        return ("conversation", start) if start else ("request", request)
    return "request", request


def _start(messages: Sequence[Mapping[str, Any]]) -> str:
    """The system prompt and the first question: what every later turn of a conversation repeats."""
    first: dict[str, str] = {}
    for message in messages:
        role = "system" if message["role"] == "developer" else message["role"]
        first.setdefault(role, str(message.get("content")))
    return f"{first.get('system', '')}\n{first['user']}" if "user" in first else ""


def within_chance(counts: Mapping[str, int], shares: Mapping[str, int]) -> bool | None:
    """Whether independent draws may have fallen like this (each arm inside its 99 % interval). None: too few to say.

    The interval is the normal one, p +- z sqrt(p (1 - p) / n), with half a draw for continuity.
    """
    total, whole = sum(counts.values()), sum(shares.values())
    parts = {arm: share / whole for arm, share in shares.items()}
    if any(0 < part < 1 and total * min(part, 1 - part) < LEAST_EXPECTED for part in parts.values()) or not total:
        return None
    return all(
        abs(counts.get(arm, 0) - total * part) <= Z99 * sqrt(total * part * (1 - part)) + 0.5
        for arm, part in parts.items()
    )
