"""The last traces that Redis took, kept for the case that it loses them before the writer has stored them."""

from collections import deque

from tenants.redis import Command
from tenants.scripts import SAY_AGAIN, settled_key

AGAIN = "relay:{ledger}:traces:again"  # what processes say again after a loss; a rebuild counts it and hands it on
FIELD = "d"
KEPT_S = 5.0  # the writer is usually done within one
MAX_BYTES = 8 * 1024 * 1024


class Recent:
    """Bounded in time and memory: if the writer is further behind than that, a server that is emptied loses traces."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, str, bytes]] = deque()
        self._size = 0

    def keep(self, trace_id: str, trace: bytes, clock: float) -> None:
        self._kept.append((clock, trace_id, trace))
        self._size += len(trace)
        while self._size > MAX_BYTES or (self._kept and self._kept[0][0] < clock - KEPT_S):
            self._size -= len(self._kept.popleft()[2])

    def commands(self) -> list[Command]:
        return [SAY_AGAIN.command([settled_key(trace_id), AGAIN], trace) for _, trace_id, trace in self._kept]
