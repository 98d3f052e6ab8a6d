"""From the Redis stream to the tenants' schemas: at least once from the stream, exactly once in the table.

An entry leaves the stream only after its row is committed, so a crash at any point repeats work and loses none.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
from django.db import (
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connection,
    reset_queries,
)

from traces.core.rows import Unreadable, read_entry
from traces.recent import FIELD
from traces.recorder import DEAD, STREAM
from traces.store import store_traces

GROUP = "writers"
BATCH = 500
BLOCK_MS = 200
GATHER_S = 0.2  # from batch to batch unless they are full: a transaction costs as much as several of its traces
CLAIM_EVERY_S, CLAIM_IDLE_MS = 10.0, 30_000
BACKOFF_S, MAX_BACKOFF_S = 0.1, 2.0
log = logging.getLogger("relay.traces.writer")

Delivered = tuple[bytes, dict[bytes, bytes] | None]  # the fields are None if the entry was removed meanwhile
Told = Callable[[Sequence[Mapping[str, Any]]], None]
Unstorable = (Unreadable, DataError, IntegrityError, ProgrammingError)


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    data: bytes
    record: dict[str, Any]


@dataclass(slots=True)
class Counts:
    stored: int = 0
    known: int = 0  # came a second time
    dead: int = 0


class TraceWriter:
    """``name`` tells writers apart. One that comes back under its name goes on with what it had not finished.

    ``told`` hears of the records that are stored; of some again if the writer died before they left the stream. It must
    neither wait nor raise.
    """

    def __init__(self, client: redis.Redis, name: str, told: Told | None = None) -> None:
        self.counts = Counts()
        self._redis = client
        self._name = name
        self._told = told
        self._stopping = False
        self._grouped = False  # the consumer group exists
        self._unfinished = True  # entries were delivered to us that are not acknowledged
        self._claimed_at = float("-inf")
        self._away = ""
        self._backoff = BACKOFF_S

    def stop(self) -> None:
        """End after the current batch; may be called by a signal handler."""
        self._stopping = True

    def run(self, *, once: bool = False) -> None:
        """Until ``stop``, or with ``once`` until the stream is empty."""
        while not self._stopping:
            began = time.monotonic()
            try:
                found = self._step()
            except (OperationalError, InterfaceError) as error:
                connection.close()
                self._wait_for("PostgreSQL", error)
            except (redis.RedisError, OSError) as error:
                self._grouped = self._grouped and "NOGROUP" not in str(error)  # Redis lost its data: make it again
                self._wait_for("Redis", error)
            else:
                if once and not found:
                    return
                if not once and 0 < found < BATCH:
                    time.sleep(max(0.0, began + GATHER_S - time.monotonic()))

    def _step(self) -> int:
        """One batch; how many entries it had."""
        reset_queries()  # with DEBUG on, Django remembers each
        found = self._next()
        if found:
            self._handle(found)
        if self._away:
            log.info("%s is back", self._away, extra={"stored": self.counts.stored})
        self._away, self._backoff = "", BACKOFF_S
        return len(found)

    def _next(self) -> list[Delivered]:
        if not self._grouped:
            self._create_group()
        if self._unfinished:
            found = self._read("0", block=None)
            if found:
                return found
            self._unfinished = False
        if time.monotonic() - self._claimed_at >= CLAIM_EVERY_S:
            reply = cast(Any, self._redis.xautoclaim(STREAM, GROUP, self._name, CLAIM_IDLE_MS, count=BATCH))
            if reply[1]:
                return list(reply[1])
            self._claimed_at = time.monotonic()
        return self._read(">", block=BLOCK_MS)

    def _read(self, start: str, block: int | None) -> list[Delivered]:
        reply = cast(Any, self._redis.xreadgroup(GROUP, self._name, {STREAM: start}, count=BATCH, block=block))
        return list(reply[0][1]) if reply else []

    def _handle(self, found: Sequence[Delivered]) -> None:
        self._unfinished = True  # until all is acknowledged: a failure on the way reads it again
        by_tenant: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        self._acknowledge([raw_id.decode() for raw_id, fields in found if not fields])
        for raw_id, fields in found:
            if not fields:
                continue
            data, entry_id = fields.get(FIELD.encode(), b""), raw_id.decode()
            try:
                record = read_entry(data)
                by_tenant[record["tenant"], record["schema"]].append(Entry(entry_id, data, record))
            except Unreadable as error:
                self._bury(entry_id, data, error)
        for (tenant, schema), entries in by_tenant.items():
            self._store(tenant, schema, entries)
        self._acknowledge([entry.id for entries in by_tenant.values() for entry in entries])
        self._unfinished = False

    def _store(self, tenant: str, schema: str, entries: list[Entry]) -> None:
        """Halves a batch that cannot be stored until the entry to blame is alone; the others are stored."""
        try:
            new = store_traces(tenant=tenant, schema=schema, records=[entry.record for entry in entries])
        except Unstorable as error:
            if len(entries) > 1:
                middle = len(entries) // 2
                self._store(tenant, schema, entries[:middle])
                self._store(tenant, schema, entries[middle:])
            else:
                self._bury(entries[0].id, entries[0].data, error)
            return
        self.counts.stored += new
        self.counts.known += len(entries) - new
        if self._told is not None:
            self._told([entry.record for entry in entries])

    def _bury(self, entry_id: str, data: bytes, error: Exception) -> None:
        """Set aside what can never be stored, so that it stops nothing; `trace_writer --retry-dead` tries it again.

        The error's first line only: the lines after it quote the values.
        """
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}" if str(error) else type(error).__name__
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.xadd(DEAD, {FIELD: data, "error": reason, "entry": entry_id})
            pipeline.xack(STREAM, GROUP, entry_id)
            pipeline.xdel(STREAM, entry_id)
            pipeline.execute()
        self.counts.dead += 1
        log.error("a trace could not be stored", extra={"entry": entry_id, "error": reason, "dead": self.counts.dead})

    def _acknowledge(self, ids: list[str]) -> None:
        if not ids:
            return
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.xack(STREAM, GROUP, *ids)
            pipeline.xdel(STREAM, *ids)
            pipeline.execute()

    def _create_group(self) -> None:
        try:
            self._redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):  # another writer was quicker
                raise
        self._grouped = True

    def _wait_for(self, what: str, error: Exception) -> None:
        """One line a change of state; the entries stay in the stream meanwhile."""
        self._unfinished = True
        if self._away != what:
            log.warning("%s is away: traces wait in the stream", what, extra={"error": str(error).strip()})
        self._away = what
        time.sleep(self._backoff)
        self._backoff = min(self._backoff * 2, MAX_BACKOFF_S)


def retry_dead(client: redis.Redis) -> int:
    """Put what was set aside back into the stream, say after a migration; how many entries that were."""
    moved = 0
    while found := cast(list[tuple[bytes, dict[bytes, bytes]]], client.xrange(DEAD, count=BATCH)):
        with client.pipeline(transaction=True) as pipeline:
            for entry_id, fields in found:
                pipeline.xadd(STREAM, {FIELD: fields[FIELD.encode()]})
                pipeline.xdel(DEAD, entry_id)
            pipeline.execute()
        moved += len(found)
    return moved
