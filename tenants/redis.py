"""Redis on the hot path: requests that are ready together share one round trip.

A trip is one pipeline (not a transaction) over a connection of its own. While it is under way, the commands of other
requests gather; the next trip takes them all. A lone request waits for nobody. redis-py's own pipeline would do the
same for twice the price: it sets a timer for every reply.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError

from tenants.scripts import ON_TRIPS

Command = tuple[Any, ...]
Sent = Command | Callable[[str], Command]  # a function is given the run id of the server that it goes to
TIMEOUT_S = 2.0
LOADS: list[Command] = [("INFO", "server"), *(("SCRIPT", "LOAD", script.text) for script in ON_TRIPS)]


class RedisAway(Exception):
    """Redis did not answer; nothing is known about whether the commands ran."""


class Trips:
    """``client`` is for everything else than requests."""

    def __init__(self, url: str) -> None:
        self.client: redis.asyncio.Redis = redis.asyncio.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=1.0, health_check_interval=0, max_connections=8
        )
        self._connection: AbstractConnection = redis.asyncio.ConnectionPool.from_url(
            url, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        ).make_connection()  # type: ignore[no-untyped-call]
        self._waiting: list[tuple[Sequence[Sent], asyncio.Future[list[Any]]]] = []
        self._worker: asyncio.Task[None] | None = None
        self.run_id = ""  # of the server at the other end: another one, or the same after a restart, has another
        self._scripts_lost = False

    async def run(self, commands: Sequence[Sent]) -> list[Any]:
        """The replies in order; a failed command's reply is its ResponseError. Raises RedisAway."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._travel())
        return await future

    async def ping(self) -> bool:
        try:
            return bool(await self.run([("PING",)]))
        except RedisAway:
            return False

    async def close(self) -> None:
        """A trip that is under way ends first, so that none is sent again behind our back."""
        if self._worker is not None:
            await self._worker
        await self._connection.disconnect()
        await self.client.aclose()

    async def _travel(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                replies = await self._trip([command for commands, _ in batch for command in commands])
            except Exception as error:  # whatever it is, nobody may be left waiting
                for _, future in batch:
                    if not future.done():
                        future.set_exception(RedisAway(type(error).__name__))
                continue
            start = 0
            for commands, future in batch:
                end = start + len(commands)
                if not future.done():
                    future.set_result(replies[start:end])
                start = end

    async def _trip(self, commands: list[Sent]) -> list[Any]:
        """A connection that was open before may have been closed by a restart, so it is given one more try."""
        kept = self._connection.is_connected
        try:
            return await self._exchange(commands)
        except (RedisConnectionError, OSError) as error:
            if not kept or isinstance(error, TimeoutError):
                raise
            return await self._exchange(commands)

    async def _exchange(self, commands: list[Sent]) -> list[Any]:
        connection = self._connection
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if not connection.is_connected or self._scripts_lost:
                    await self._connect()
                known = [command(self.run_id) if callable(command) else command for command in commands]
                return await self._send(known)
        except BaseException:
            await connection.disconnect(nowait=True)  # a reply that still comes must not be taken for a later one's
            raise

    async def _connect(self) -> None:
        """A new connection learns whom it speaks to, and brings the scripts along."""
        await self._connection.connect()  # type: ignore[no-untyped-call]
        about, *_ = map(replied, await self._send(LOADS))
        text = about.decode() if isinstance(about, bytes) else about
        self.run_id = next(line[7:] for line in text.splitlines() if line.startswith("run_id:"))
        self._scripts_lost = False

    async def _send(self, commands: list[Command]) -> list[Any]:
        connection = self._connection
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        return [await self._reply() for _ in commands]

    async def _reply(self) -> Any:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            if isinstance(error, NoScriptError):
                self._scripts_lost = True
            return error


def replied(reply: Any) -> Any:
    """A command's reply; its error (loading, read-only, full) is raised as RedisAway: such a Redis is away, too."""
    if isinstance(reply, ResponseError | NoScriptError | RedisError):
        raise RedisAway(type(reply).__name__)
    return reply
