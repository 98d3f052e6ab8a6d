"""Redis on the hot path: requests that are ready together share one round trip.

A trip is one pipeline (not a transaction) over one connection. While it is under way, the commands of other requests
gather; the next trip takes them all. A lone request waits for nobody.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis.exceptions import NoScriptError, RedisError, ResponseError

Command = tuple[Any, ...]
TIMEOUT_S = 2.0


class RedisAway(Exception):
    """Redis did not answer; nothing is known about whether the commands ran."""


class Trips:
    def __init__(self, url: str) -> None:
        self.client: redis.asyncio.Redis = redis.asyncio.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=1.0, health_check_interval=0, max_connections=8
        )
        self._waiting: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def run(self, commands: Sequence[Command]) -> list[Any]:
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

    async def _trip(self, commands: list[Command]) -> list[Any]:
        pipeline = self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)


def replied(reply: Any) -> Any:
    """A command's reply; its error (loading, read-only, full) is raised as RedisAway: such a Redis is away, too."""
    if isinstance(reply, ResponseError | NoScriptError | RedisError):
        raise RedisAway(type(reply).__name__)
    return reply
