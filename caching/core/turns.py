"""Whose text is embedded: a burst waits for its turns; of a flood only a part is taken, and in pauses between.

An embedding costs many times the request that could be spared. Where more texts come than there is time for, a queue
makes all of them late and finds no more hits than none would, and the processor is needed for those who go on without.
"""

from dataclasses import dataclass

USUAL_S = 0.015  # for a text, before any was timed
MOST_WAITING = 32  # texts, of those who wait for theirs however long it takes
WEIGHT = 0.1  # of the latest time in the usual one


@dataclass(slots=True)
class Turns:
    """Every ``now`` is of one monotonic clock in seconds."""

    usual_s: float = USUAL_S
    waiting: int = 0  # the one whose turn it is included
    _flooded: bool = False
    _turned_away: bool = False  # since the latest turn ended
    _rests_until: float = 0.0

    @property
    def full(self) -> bool:
        return self.waiting >= MOST_WAITING

    def admits(self, now: float, patience_s: float) -> bool:
        """Whether a turn would come in time. Who may wait for ever is turned away by a full queue only."""
        if patience_s == float("inf"):
            return not self.full
        in_time = self.waiting * self.usual_s <= (0.0 if self._flooded else patience_s)
        comes = in_time and not self.full and now >= self._rests_until
        self._turned_away |= not comes
        return comes

    def ended(self, now: float, took_s: float) -> None:
        """A turn: while others had to go on without one, the next comes after as long a pause."""
        self.usual_s += WEIGHT * (took_s - self.usual_s)
        self._flooded, self._turned_away = self._turned_away, False
        self._rests_until = now + took_s if self._flooded else 0.0
