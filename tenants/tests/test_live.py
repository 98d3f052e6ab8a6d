"""Configuration is live: what listens to its changes, on the run's real database."""

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg

from tenants.live import CHANNEL, listen


class Loader:
    """Succeeds or fails as told, and says each time that it was asked."""

    def __init__(self, *outcomes: bool) -> None:
        self._outcomes = iter(outcomes)
        self._calls: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self) -> bool:
        self._calls.put_nowait(None)
        return next(self._outcomes)

    async def was_asked(self) -> None:
        await asyncio.wait_for(self._calls.get(), timeout=10)


@asynccontextmanager
async def listening(loader: Loader, **options: Any) -> Any:
    task = asyncio.create_task(listen(os.environ["DATABASE_URL"], loader, **options))
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_each_change_is_told() -> None:
    loader = Loader(True, True)
    async with listening(loader):
        await loader.was_asked()
        async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
            await other.execute(f"NOTIFY {CHANNEL}")
        await loader.was_asked()


async def test_what_could_not_be_loaded_is_tried_again_without_a_change() -> None:
    """A process that came ahead of its migration must not stay unready until somebody happens to edit a row."""
    loader = Loader(False, False, True)
    async with listening(loader, ping_s=0.05):
        for _ in range(3):
            await loader.was_asked()
