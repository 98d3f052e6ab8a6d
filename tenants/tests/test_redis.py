"""Shared round trips, against a real server."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from redis.exceptions import ResponseError

from conftest import unique
from relay_project.embedded.ports import free_port
from tenants.redis import RedisAway, Sent, Trips, replied


class CountedTrips(Trips):
    """Remembers what each trip carried."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.carried: list[list[Sent]] = []
        self.left = asyncio.Event()

    async def _trip(self, commands: list[Sent]) -> list[object]:
        self.carried.append(commands)
        self.left.set()
        return await super()._trip(commands)


@asynccontextmanager
async def server(url: str | None = None) -> AsyncIterator[CountedTrips]:
    trips = CountedTrips(url or os.environ["REDIS_URL"])
    try:
        yield trips
    finally:
        await trips.close()


async def test_requests_that_are_ready_together_share_one_trip_and_get_their_own_replies() -> None:
    async with server() as trips:
        words = [f"word-{number}" for number in range(20)]
        replies = await asyncio.gather(*(trips.run([("ECHO", word), ("ECHO", word * 2)]) for word in words))
        assert replies == [[word.encode(), (word * 2).encode()] for word in words]
        assert len(trips.carried) == 1


async def test_who_comes_while_a_trip_is_under_way_takes_the_next() -> None:
    async with server() as trips:
        first = asyncio.create_task(trips.run([("ECHO", "first")]))
        await trips.left.wait()
        later = [asyncio.create_task(trips.run([("ECHO", f"later-{number}")])) for number in range(5)]
        assert await first == [b"first"]
        assert await asyncio.gather(*later) == [[f"later-{number}".encode()] for number in range(5)]
        assert [len(commands) for commands in trips.carried] == [1, 5]


async def test_closing_waits_for_the_trip_that_is_under_way_and_sends_nothing_again() -> None:
    key = unique("count")
    async with server() as trips:
        await trips.ping()
        under_way = asyncio.create_task(trips.run([("INCR", key), ("BLPOP", unique("nothing"), 0.3)]))
        trips.left.clear()
        await trips.left.wait()
        await trips.close()
        assert await under_way == [1, None]
        assert await trips.run([("GET", key)]) == [b"1"]


async def test_a_refused_command_concerns_nobody_else() -> None:
    key = unique("text")
    async with server() as trips:
        [_, error], [pong] = await asyncio.gather(
            trips.run([("SET", key, "not a number"), ("INCR", key)]), trips.run([("ECHO", "pong")])
        )
        assert isinstance(error, ResponseError)
        assert pong == b"pong"
        with pytest.raises(RedisAway, match="ResponseError"):
            replied(error)
        assert replied(pong) == b"pong"


async def test_a_waiter_that_gives_up_disturbs_no_other() -> None:
    async with server() as trips:
        tasks = [asyncio.create_task(trips.run([("ECHO", str(number))])) for number in range(6)]
        await trips.left.wait()
        tasks[0].cancel()
        tasks[3].cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(replies[number]) for number in (0, 3)] == [asyncio.CancelledError] * 2
        assert [replies[number] for number in (1, 2, 4, 5)] == [[b"1"], [b"2"], [b"4"], [b"5"]]


async def test_a_server_that_is_away_is_said_so_at_once_to_everybody() -> None:
    async with server(f"redis://127.0.0.1:{free_port()}/0") as trips:
        gone = asyncio.create_task(trips.run([("PING",)]))
        outcomes = asyncio.gather(*(trips.run([("PING",)]) for _ in range(5)), return_exceptions=True)
        await asyncio.sleep(0)
        gone.cancel()
        async with asyncio.timeout(1.5):
            assert [type(outcome) for outcome in await outcomes] == [RedisAway] * 5
            assert not await trips.ping()
        with suppress(asyncio.CancelledError):
            await gone


async def test_after_an_unsendable_command_nobody_is_left_waiting_and_the_next_trip_runs() -> None:
    async with server() as trips, asyncio.timeout(5):
        with pytest.raises(RedisAway):
            await trips.run([("GET", "\ud800")])
        with pytest.raises(RedisAway):
            await trips.run([("GET", None)])
        assert await trips.ping()


async def test_it_rejoins_a_server_that_dropped_its_connections() -> None:
    async with server() as trips, server() as other:
        assert await trips.ping()
        await other.run([("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")])
        assert True in [await trips.ping() for _ in range(3)]
