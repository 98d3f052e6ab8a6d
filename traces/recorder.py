"""Where finished traces go: the Redis stream, or the local spool while Redis is away."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import orjson

from tenants.holds import Settlement
from tenants.ledger import Ledger
from tenants.redis import Command, RedisAway, Trips, replied
from traces.core.clean import storable
from traces.recent import FIELD
from traces.spool import Claimed, Spool

STREAM = "relay:{ledger}:traces"  # with the ledger's keys: a trace and its settlement are one step
DEAD = f"{STREAM}:dead"  # what could not be stored
DRAIN_EVERY_S = 1.0
BATCH, BATCH_BYTES = 100, 1024 * 1024  # they share a trip with requests
log = logging.getLogger("relay.traces.recorder")


def append_command(trace: bytes) -> Command:
    """The XADD that goes into the request's last round trip. Sent twice it does no harm: the trace's id is the same."""
    return "XADD", STREAM, "*", FIELD, trace


def dump(record: Mapping[str, Any]) -> bytes:
    """Any client's JSON can be written; what orjson refuses (lone surrogates, deep nesting, huge numbers) is mended."""
    try:
        return orjson.dumps(record)
    except orjson.JSONEncodeError:
        return orjson.dumps(storable(record))


class Recorder:
    """A line of the spool is a trace, or its settlement, a tab (JSON has none) and the trace."""

    def __init__(self, redis: Trips, ledger: Ledger, spool: Spool) -> None:
        self._redis = redis
        self._ledger = ledger
        self._spool = spool
        self._away = False

    def command(self, trace: bytes, settlement: Settlement | None) -> Command:
        """Records and, if counters are concerned, settles in one step; sent twice it does so once."""
        return append_command(trace) if settlement is None else settlement.command(STREAM, trace)

    def spooled(self, trace: bytes, settlement: Settlement | None) -> None:
        """Keep a trace that Redis did not take; it is safe when this returns. Raises SpoolFull.

        The write goes to the page cache and takes microseconds, less than a hop to a thread would.
        """
        self._spool.append(trace if settlement is None else settlement.dump() + b"\t" + trace)

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
            except (RedisAway, OSError) as error:
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
                await self._send_lines(lines)
                sent += len(lines)
        except BaseException:
            file.release()
            raise
        file.done()
        return sent

    async def _send_lines(self, lines: list[bytes]) -> None:
        """The lines before one that was refused come again with it, which does no harm."""
        read = [_read_line(line) for line in lines]
        settlements = [settlement for settlement, _ in read if settlement is not None]
        for settlement in settlements:
            self._ledger.settling(settlement)
        try:
            replies = await self._redis.run([self.command(trace, settlement) for settlement, trace in read])
            fresh = [replied(reply) for reply in replies]
        except BaseException:
            for settlement in settlements:
                self._ledger.settling(settlement, 1)
            raise
        if 0 in fresh:  # settled before, and the reply was lost: since then it may have been announced as held
            await self._ledger.say_anew()


def _read_line(line: bytes) -> tuple[Settlement | None, bytes]:
    settlement, tab, trace = line.partition(b"\t")
    return (Settlement.load(settlement), trace) if tab else (None, line)
