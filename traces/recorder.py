"""Where finished traces go: the Redis stream, or the local spool while Redis is away."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from traces.core.clean import storable
from traces.spool import Claimed, Spool

STREAM = "relay:traces"
FIELD = "d"
DRAIN_EVERY_S = 1.0
BATCH, BATCH_BYTES = 100, 4 * 1024 * 1024
log = logging.getLogger("relay.traces.recorder")


def append_command(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """The XADD that goes into the request's last round trip. Sent twice it does no harm: the trace's id is the same."""
    return "XADD", STREAM, "*", FIELD, dump(record)


def dump(record: Mapping[str, Any]) -> bytes:
    """Any client's JSON can be written; what orjson refuses (lone surrogates, deep nesting, huge numbers) is mended."""
    try:
        return orjson.dumps(record)
    except orjson.JSONEncodeError:
        return orjson.dumps(storable(record))


class Recorder:
    def __init__(self, redis: Redis, spool: Spool) -> None:
        self._redis = redis
        self._spool = spool
        self._away = False

    async def spooled(self, record: Mapping[str, Any]) -> None:
        """Keep a trace that Redis did not take; it is safe when this returns. Raises SpoolFull.

        The write goes to the page cache and takes microseconds, less than a hop to a thread would.
        """
        self._spool.append(dump(record))

    async def drain_forever(self) -> None:
        """Run beside the web server, once a process: sends what was spooled as soon as Redis is back."""
        while True:
            await self.drain()
            await asyncio.sleep(DRAIN_EVERY_S)

    async def drain(self) -> int:
        """Send what can be sent now; how many traces that were."""
        sent = 0
        for file in self._spool.claim():
            try:
                sent += await self._send(file)
            except (RedisError, OSError) as error:
                if not self._away:
                    log.warning("Redis is away: traces wait in the spool", extra={"error": str(error)})
                self._away = True
                return sent
        if sent:
            log.info("spooled traces sent", extra={"count": sent})
        self._away = False
        return sent

    async def _send(self, file: Claimed) -> int:
        sent = 0
        try:
            for lines in file.batches(BATCH, BATCH_BYTES):
                pipeline = self._redis.pipeline(transaction=False)
                for line in lines:
                    pipeline.xadd(STREAM, {FIELD: line})
                await pipeline.execute()
                sent += len(lines)
        except BaseException:
            file.release()
            raise
        file.done()
        return sent
