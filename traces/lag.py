"""How far the trace writer is behind."""

from dataclasses import dataclass
from typing import Any, cast

import redis

from traces.recorder import DEAD, STREAM


@dataclass(frozen=True, slots=True)
class Lag:
    """``waiting`` traces are in the stream, the oldest for ``oldest_s``; ``dead`` ones could not be stored."""

    waiting: int
    oldest_s: float
    dead: int


def lag(client: redis.Redis, now: float) -> Lag:
    """One trip; ``now`` in epoch seconds. An entry leaves the stream when its row is committed. Raises RedisError."""
    pipeline = client.pipeline(transaction=False)
    pipeline.xlen(STREAM)
    pipeline.xrange(STREAM, count=1)
    pipeline.xlen(DEAD)
    waiting, first, dead = cast(Any, pipeline.execute())
    since_ms = int(first[0][0].split(b"-")[0]) if first else 0
    return Lag(waiting, max(0.0, now - since_ms / 1000) if first else 0.0, dead)
