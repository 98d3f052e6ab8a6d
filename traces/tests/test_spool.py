"""Traces while Redis is away: on the disk first, in the stream as soon as it is back."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from conftest import unique
from relay_project.embedded.ports import free_port
from tenants.holds import Item, Settlement
from tenants.ledger import Ledger
from tenants.redis import Trips
from tenants.scripts import EPOCH
from traces.recorder import STREAM, Recorder, append_command, dump
from traces.spool import Spool, SpoolFull
from traces.tests.records import record_of
from traces.tests.redis_db import redis_url

ACME = SimpleNamespace(slug="acme", schema_name="t_acme")
MEGABYTE = 1024 * 1024


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url(8)) as client:
        await client.delete(STREAM)
        yield client


@asynccontextmanager
async def recorder_of(spool: Spool, url: str) -> AsyncIterator[Recorder]:
    async def nothing_to_rebuild() -> None: ...

    trips = Trips(url)
    try:
        yield Recorder(trips, Ledger(trips, nothing_to_rebuild), spool)
    finally:
        await trips.close()


def nowhere() -> str:
    """A port where nobody listens."""
    return f"redis://127.0.0.1:{free_port()}/0"


async def streamed(redis: Any) -> list[str]:
    return [orjson.loads(fields[b"d"])["id"] for _, fields in await redis.xrange(STREAM)]


async def test_the_append_command_puts_a_record_into_the_stream(redis: Any) -> None:
    record = record_of(ACME)
    await redis.execute_command(*append_command(dump(record)))
    [(_, fields)] = await redis.xrange(STREAM)
    assert orjson.loads(fields[b"d"])["schema"] == "t_acme"
    assert await streamed(redis) == [record["id"]]


async def test_what_was_spooled_is_sent_in_order_once_redis_is_back(redis: Any, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", MEGABYTE)
    records = [record_of(ACME) for _ in range(250)]
    async with recorder_of(spool, nowhere()) as waiting:
        for record in records[:150]:
            waiting.spooled(dump(record), None)
        assert await waiting.drain() == 0
        assert await waiting.drain() == 0
        for record in records[150:]:
            waiting.spooled(dump(record), None)
    async with recorder_of(spool, redis_url(8)) as recorder:
        assert await recorder.drain() == 250
    assert await streamed(redis) == [record["id"] for record in records]
    assert list((tmp_path / "spool").iterdir()) == []


async def test_draining_goes_on_by_itself(redis: Any, tmp_path: Path) -> None:
    async with recorder_of(Spool(tmp_path, MEGABYTE), redis_url(8)) as recorder:
        recorder.spooled(dump(record_of(ACME)), None)
        task = asyncio.create_task(recorder.drain_forever())
        assert await redis.xread({STREAM: "0"}, block=5_000)
        task.cancel()


async def test_a_spooled_settlement_is_counted_once_when_its_trace_is_sent(redis: Any, tmp_path: Path) -> None:
    counter, record = "relay:{ledger}:q1:0", record_of(ACME)
    settlement = Settlement(record["id"], "gone", "none", (Item(counter, 70, 12, 4_000_000_000),))
    await redis.delete(counter, f"relay:{{ledger}}:settled:{record['id']}")
    await redis.hset(EPOCH, "g", "7")
    async with recorder_of(Spool(tmp_path, MEGABYTE), redis_url(8)) as recorder:
        for _ in range(2):  # the first reply was lost, say
            recorder.spooled(dump(record), settlement)
        assert await recorder.drain() == 2
    assert await streamed(redis) == [record["id"]]
    assert await redis.hgetall(counter) == {b"s7": b"12"}, "what a dead process held is not given back twice"


async def test_what_was_settled_before_its_reply_was_lost_is_not_held_for_ever(redis: Any, tmp_path: Path) -> None:
    async with recorder_of(Spool(tmp_path, MEGABYTE), redis_url(8)) as recorder:
        record, ledger = record_of(ACME), recorder._ledger
        key = f"relay:{{ledger}}:{unique('q')}:0"
        settlement = Settlement(record["id"], ledger.process, "none", (Item(key, 70, 12, 4_000_000_000),))
        await recorder._redis.run([recorder.command(dump(record), settlement)])  # it arrived, and nobody knows
        ledger.settling(settlement, 1)
        await redis.hset(EPOCH, "g", "8")
        await ledger.announce("8")
        assert await redis.hget(key, "h") == b"70"
        recorder.spooled(dump(record), settlement)
        assert await recorder.drain() == 1
        assert await redis.hget(key, "h") == b"0"


def test_only_its_owner_may_read_a_spool(tmp_path: Path) -> None:
    Spool(tmp_path / "spool", MEGABYTE).append(b"{}")
    [path] = (tmp_path / "spool").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_full_spool_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    spool.append(b"x" * 60)
    with pytest.raises(SpoolFull):
        spool.append(b"y" * 60)
    with pytest.raises(SpoolFull):
        Spool(tmp_path, 100).append(b"y" * 60)  # the processes of a machine share the room
    [claimed] = spool.claim()
    assert list(claimed.batches(10, MEGABYTE)) == [[b"x" * 60]]
    claimed.done()


def test_a_directory_that_cannot_be_made_is_a_full_spool(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolFull):
        Spool(tmp_path / "file" / "spool", MEGABYTE).append(b"{}")


def test_batches_are_bounded_in_bytes(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MEGABYTE)
    for _ in range(4):
        spool.append(b"x" * 100)
    [claimed] = spool.claim()
    assert [len(batch) for batch in claimed.batches(100, 200)] == [2, 2]
    claimed.done()


def test_a_living_process_keeps_its_file(tmp_path: Path) -> None:
    living = Spool(tmp_path, MEGABYTE)
    living.append(b"{}")
    assert list(Spool(tmp_path, MEGABYTE).claim()) == []


def test_what_could_not_be_sent_stays_its_own_process_matter(tmp_path: Path) -> None:
    mine, other = Spool(tmp_path, MEGABYTE), Spool(tmp_path, MEGABYTE)
    mine.append(b"{}")
    [claimed] = mine.claim()
    claimed.release()
    assert list(other.claim()) == []
    [again] = mine.claim()
    assert list(again.batches(10, MEGABYTE)) == [[b"{}"]]
    again.done()
    assert list(tmp_path.iterdir()) == []


WRITE_AND_WAIT = """
import sys, time
from pathlib import Path
from traces.spool import Spool
spool = Spool(Path(sys.argv[1]), 1 << 20)
for line in sys.stdin.buffer:
    spool.append(line.rstrip())
    print("safe", flush=True)
"""


async def test_the_file_of_a_killed_process_is_sent_by_another(redis: Any, tmp_path: Path) -> None:
    records = [record_of(ACME) for _ in range(3)]
    spool_and_die(tmp_path, records)
    async with recorder_of(Spool(tmp_path, MEGABYTE), redis_url(8)) as recorder:
        assert await recorder.drain() == 3
    assert await streamed(redis) == [record["id"] for record in records]


def spool_and_die(directory: Path, records: list[dict[str, Any]]) -> None:
    command = [sys.executable, "-c", WRITE_AND_WAIT, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        for record in records:
            process.stdin.write(dump(record) + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"safe\n"
        os.kill(process.pid, signal.SIGKILL)
    [path] = directory.iterdir()
    with path.open("ab") as file:
        file.write(b'{"id": "torn')  # a write that was cut off was never acknowledged
