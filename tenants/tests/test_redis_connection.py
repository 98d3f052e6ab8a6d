"""Trips over a connection of their own: replies stay with their requests, whatever happens to the server."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.exceptions import ResponseError

from relay_project.embedded import valkey
from relay_project.embedded.ports import free_port
from relay_project.embedded.processes import Program, spawn, stop, wait_until
from tenants.redis import RedisAway, Trips


class Server:
    def __init__(self, directory: Path) -> None:
        port = free_port()
        self.url = valkey.url(port, "secret")
        self._program: Program = valkey.program(directory, port, "secret", durable=False)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = spawn(self._program)
        wait_until(lambda: valkey.ready(self.url), self._program, self._process, seconds=20)

    def stop(self) -> None:
        if self._process is not None:
            stop(self._program, self._process, seconds=5)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest_asyncio.fixture
async def trips(server: Server) -> AsyncIterator[Trips]:
    server.start()
    trips = Trips(server.url)
    yield trips
    await trips.close()
    server.stop()


async def test_each_request_gets_its_own_replies_also_the_failed_ones(trips: Trips) -> None:
    commands = [[("SET", f"k{n}", n), ("GET", f"k{n}"), ("LPUSH", f"k{n}", "x")] for n in range(20)]
    for number, (stored, read, wrong) in enumerate(await asyncio.gather(*map(trips.run, commands))):
        assert (stored, read) == (b"OK", b"%d" % number)
        assert isinstance(wrong, ResponseError)


async def test_a_restart_between_two_trips_is_not_noticed(trips: Trips, server: Server) -> None:
    assert await trips.ping()
    server.stop()
    server.start()
    assert await trips.run([("PING",)]) == [b"PONG"]


async def test_without_a_server_it_is_away_at_once_and_back_with_it(trips: Trips, server: Server) -> None:
    assert await trips.ping()
    server.stop()
    with pytest.raises(RedisAway):
        await asyncio.wait_for(trips.run([("PING",)]), 1)
    server.start()
    assert await trips.ping()


async def test_the_late_reply_of_a_frozen_server_is_nobodys(trips: Trips, server: Server) -> None:
    assert await trips.ping()
    server.signal(signal.SIGSTOP)
    with pytest.raises(RedisAway):
        await trips.run([("ECHO", "late")])
    server.signal(signal.SIGCONT)
    assert await trips.run([("ECHO", "in time")]) == [b"in time"]
