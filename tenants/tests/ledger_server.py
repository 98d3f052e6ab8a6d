"""Processes of a ledger around a real server, whose epoch is these tests' own."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlsplit

from redis.asyncio import Redis

from conftest import unique
from tenants.core.limits import Limit, counter_of
from tenants.core.spend import Spend
from tenants.holds import Account, Parts, QuotaSpent, parts_of
from tenants.ledger import Ledger
from tenants.redis import Trips
from tenants.scripts import BEGIN, COUNTERS, EPOCH, INSTALL

URL = os.environ["REDIS_URL"].rpartition("/")[0] + "/7"  # whose epoch is this module's own
STREAM = "relay:{ledger}:traces"
ONE = Spend(requests=1, tokens=100, cost=1_000, neurons=2_500_000)


def limit_of(metric: str = "requests", limit: int = 10, *, deployment: str = "", **more: Any) -> Limit:
    """A limit of its own, with a counter that no other test has."""
    made = Limit(unique("q"), metric, "day", limit, tenant="" if deployment else "acme", deployment=deployment)
    return replace(made, **more)


def parts(*limits: Limit, spend: Spend = ONE) -> Parts:
    return parts_of(limits, spend, time.time())


def account() -> Account:
    return Account(unique("trace"), time.time())


class Server:
    """Counts its rebuilds, which know of no trace."""

    def __init__(self, client: Redis) -> None:
        self.client, self.rebuilt = client, 0

    async def open(self) -> None:
        self.rebuilt += 1
        run = (await self.client.info("server"))["run_id"]
        generation, _ = await self._run(BEGIN.text, [EPOCH, STREAM], run)
        await self._run(INSTALL.text, [EPOCH, COUNTERS], run, generation)

    async def _run(self, text: str, keys: list[str], *arguments: Any) -> Any:
        return await cast(Any, self.client.eval(text, len(keys), *keys, *arguments))

    async def used(self, limit: Limit) -> tuple[int, int]:
        """Settled in this generation, and held."""
        key = counter_of(limit, time.time()).key
        generation = cast(bytes, await cast(Any, self.client.hget(EPOCH, "g"))).decode()
        settled, held = await cast(Any, self.client.hmget(key, [f"s{generation}", "h"]))
        return int(settled or 0), int(held or 0)


class Cable:
    """Between a process and Redis. Once it is to be cut, the next reply is lost with its connection."""

    def __init__(self) -> None:
        self.cut = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(URL)
        back, forth = await asyncio.open_connection(parts.hostname, parts.port)
        sending = asyncio.create_task(self._copy(reader, forth))
        try:
            while (data := await back.read(65_536)) and not self.cut:
                writer.write(data)
                await writer.drain()
            self.cut = False
        finally:
            sending.cancel()
            writer.close()
            forth.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def process(server: Server, rebuild: Callable[[], Any] | None = None, url: str = URL) -> AsyncIterator[Ledger]:
    trips = Trips(url)
    try:
        yield Ledger(trips, rebuild or server.open)
    finally:
        await trips.close()


async def take(ledger: Ledger, caller: Parts, *groups: Parts) -> tuple[Account, int | None]:
    mine = account()
    taken, _ = await ledger.hold(mine, mine.asking(caller, groups), time.time())
    mine.passes()
    return mine, taken.chosen


async def refused(ledger: Ledger, *limits: Limit) -> bool:
    try:
        await take(ledger, parts(*limits))
    except QuotaSpent:
        return True
    return False


async def settle(ledger: Ledger, mine: Account) -> None:
    settlement = mine.settlement(ledger.process)
    assert settlement is not None
    ledger.settling(settlement)
    await ledger._trips.run([settlement.command(STREAM, b"{}")])
