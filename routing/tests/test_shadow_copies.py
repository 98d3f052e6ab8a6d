"""What one process does with its copies when it stops, has too many, or PostgreSQL is away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from psycopg_pool import AsyncConnectionPool

from relay_project.embedded.ports import free_port
from routing.core.shadow import Side
from routing.models import Shadow, ShadowSum
from routing.shadows.arm import ShadowArm
from routing.shadows.copies import MOST_AT_ONCE, Copies, Pair
from routing.tests.test_shadow_admin import _shadow
from tenants.models import Tenant

pytestmark = pytest.mark.usefixtures("committed")
NOW = 1_800_000_000.0


@pytest.fixture
def shadow(tenant_a: Tenant) -> Shadow:
    return _shadow(tenant_a)


def _arm(shadow: Shadow) -> ShadowArm:
    return ShadowArm(shadow.pk, "acme/chat", 100, 10**6, 4, False, None, None, (), frozenset())


@pytest.fixture
async def client() -> AsyncIterator[Any]:
    async with redis.asyncio.Redis.from_url(settings.REDIS_URL) as client:
        yield client


async def _with(client: Any, address: str, story: Callable[..., Awaitable[None]]) -> None:
    async with AsyncConnectionPool(address, min_size=0, max_size=2, open=False, timeout=0.3) as pool:
        await story(Copies(pool, client, lambda: NOW), pool)


@sync_to_async
def _dropped(shadow: Shadow) -> dict[str, int]:
    return {row.name: row.n for row in ShadowSum.objects.filter(shadow=shadow)}


async def _never() -> None:
    await asyncio.Event().wait()


async def test_what_does_not_end_in_time_is_cut_off_and_counted(shadow: Shadow, client: Any) -> None:
    ended = asyncio.Event()

    async def soon() -> None:
        ended.set()

    async def story(copies: Copies, pool: Any) -> None:
        for copy in (_never, soon, _never):
            copies.begin(_arm(shadow), copy)
        await copies.stop(0.1)
        copies.begin(_arm(shadow), soon)
        await copies.count()

    await _with(client, settings.DATABASE_URL, story)
    assert ended.is_set() and await _dropped(shadow) == {"dropped:stopping": 3}


async def test_memory_is_bounded_and_an_error_of_ours_ends_one_copy_only(
    shadow: Shadow, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def wrong() -> None:
        raise RuntimeError("a bug")

    async def story(copies: Copies, pool: Any) -> None:
        copies.begin(_arm(shadow), wrong)
        for _ in range(MOST_AT_ONCE + 1):
            copies.begin(_arm(shadow), _never)
        await copies.stop(0)

    await _with(client, settings.DATABASE_URL, story)
    found = await _dropped(shadow)
    assert found == {"dropped:error": 1, "dropped:too_many_here": 2, "dropped:stopping": MOST_AT_ONCE - 1}
    assert "a copy for a shadow failed" in caplog.text


async def test_without_postgresql_a_pair_is_lost_and_what_was_dropped_is_counted_later(
    shadow: Shadow, client: Any, tenant_a: Tenant
) -> None:
    side = Side(False, 1.0)
    away = f"postgresql://127.0.0.1:{free_port()}/none?connect_timeout=1"

    async def story(copies: Copies, pool: Any) -> None:
        await copies.keep(_arm(shadow), Pair(tenant_a.schema_name, side, side, None, {}))
        await copies.count()
        permit = await copies.budget(_arm(shadow)).take("x", 1, budget=9, concurrent=9)
        assert permit == "away", "what the day cost is not known"
        pool.conninfo = settings.DATABASE_URL  # it is back
        await copies.count()

    await _with(client, away, story)
    assert await _dropped(shadow) == {"dropped:not_kept": 1}
