"""What each web process says of itself, every two seconds through Redis: breakers and lanes are its own, and who asks
for the status of all (the admin API, a command, the alerts) may be another process.

It is told beside the requests, names deployments and no tenant, and is forgotten when the process no longer says it.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

import orjson
import redis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from routing.core.evidence import Evidence
from routing.evidence import EvidenceBoard
from scheduling.client import LaneClient

EVERY_S = 2.0
GONE_S = 10  # who said nothing for so long is not there
KEY = "relay:web:"
INDEX = "relay:web"  # process -> epoch seconds of its last word
log = logging.getLogger("relay.presence")


class Presence:
    """One in each web process."""

    def __init__(self, name: str, board: EvidenceBoard, lanes: LaneClient, started_at: float) -> None:
        self._name, self._board, self._lanes, self._started_at = name, board, lanes, started_at
        self._troubled_since: dict[str, float] = {}

    async def say_forever(self, client: Redis) -> None:
        """Ends only when cancelled. Without Redis there is nobody to tell."""
        while True:
            try:
                await self.say(client, time.time())
            except (RedisError, OSError):
                pass
            except Exception:
                log.exception("this process could not say how it is")
            await asyncio.sleep(EVERY_S)

    async def say(self, client: Redis, now: float) -> None:
        said = orjson.dumps(self.status(now))
        pipeline = client.pipeline(transaction=False)
        pipeline.set(KEY + self._name, said, ex=GONE_S)
        pipeline.zadd(INDEX, {self._name: now})
        pipeline.zremrangebyscore(INDEX, "-inf", now - GONE_S)
        await pipeline.execute()

    def status(self, now: float) -> dict[str, Any]:
        evidence = self._board.current()
        return {
            "process": self._name,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started_at": self._started_at,
            "at": now,
            "lanes": self._lanes.snapshot(),
            "deployments": {name: asdict(known) for name, known in evidence.items()},
            "breaker_since": self._since(evidence, now),
        }

    def _since(self, evidence: Mapping[str, Evidence], now: float) -> dict[str, float]:
        """Since when breakers are not closed, in epoch seconds."""
        troubled = [name for name, known in evidence.items() if known.breaker != "closed"]
        self._troubled_since = {name: self._troubled_since.get(name, now) for name in troubled}
        return self._troubled_since


def web_processes(client: "redis.Redis", now: float) -> list[dict[str, Any]]:
    """What each web process said last, in the order of their names. Raises RedisError."""
    names = sorted(cast("list[bytes]", client.zrangebyscore(INDEX, now - GONE_S, "+inf")))
    if not names:
        return []
    found = cast("list[bytes | None]", client.mget([KEY + name.decode() for name in names]))
    return [orjson.loads(said) for said in found if said]
