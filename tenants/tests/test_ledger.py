"""Holds and settlements: the arithmetic, and the scripts against a real server."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from conftest import unique
from tenants.auth import Caller
from tenants.core.limits import Limit, window
from tenants.ledger import Hold, Left, QuotaSpent, Spend, hold_for, nearest
from tenants.redis import RedisAway, Trips

NOW = datetime(2026, 2, 28, 23, 59, 30, tzinfo=UTC).timestamp()
ESTIMATE = Spend(requests=1, tokens=100, cost=1000)
MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))


def limit_of(
    metric: str = "requests", *, limit: int = 10, hard: bool = True, window: str = "day", id: int = 1
) -> Limit:
    return Limit(f"q{id}", metric, window, limit, hard, tenant="acme")


def caller_with(*limits: Limit, tenant: str = "acme") -> Caller:
    return Caller(1, tenant, f"t_{tenant}", "k", "key", True, quotas=limits)


def held(*limits: Limit, tenant: str, spend: Spend = ESTIMATE, now: float | None = None) -> Hold:
    hold = hold_for(caller_with(*limits, tenant=tenant), spend, now or time.time())
    assert hold is not None
    return hold


@asynccontextmanager
async def server() -> AsyncIterator[Trips]:
    trips = Trips(os.environ["REDIS_URL"])
    try:
        yield trips
    finally:
        await trips.close()


async def take(trips: Trips, hold: Hold) -> tuple[Left, ...]:
    [reply] = await trips.run([hold.command()])
    return hold.read(reply)


async def try_to_take(trips: Trips, hold: Hold) -> bool:
    try:
        await take(trips, hold)
    except QuotaSpent:
        return False
    return True


def test_a_caller_without_quotas_holds_nothing() -> None:
    assert hold_for(caller_with(), Spend(1, 1, 1), NOW) is None


def test_each_quota_counts_in_its_own_window_under_the_tenants_tag() -> None:
    hold = held(limit_of(window="minute"), limit_of("cost", window="month", id=7), tenant="acme", now=NOW)
    minute, month = datetime(2026, 2, 28, 23, 59, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    assert hold.keys == (
        f"relay:{{acme}}:quota:q1:{minute.timestamp():.0f}",
        f"relay:{{acme}}:quota:q7:{month.timestamp():.0f}",
    )
    assert hold.resets == (31, 31)


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("minute", "2026-12-31T23:59", "2027-01-01T00:00"),
        ("hour", "2026-12-31T23:00", "2027-01-01T00:00"),
        ("day", "2026-12-31T00:00", "2027-01-01T00:00"),
        ("month", "2026-12-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_windows_follow_the_calendar_in_utc(name: str, start: str, end: str) -> None:
    moment = datetime(2026, 12, 31, 23, 59, 59, 999, tzinfo=UTC)
    assert window(name, moment) == (
        datetime.fromisoformat(start).replace(tzinfo=UTC),
        datetime.fromisoformat(end).replace(tzinfo=UTC),
    )


@given(st.sampled_from(["minute", "hour", "day", "month"]), MOMENTS)
def test_windows_tile_time_without_gap(name: str, moment: datetime) -> None:
    start, end = window(name, moment)
    assert start <= moment < end
    assert window(name, start) == (start, end)
    assert window(name, end)[0] == end


def test_the_nearest_limit_of_a_metric_is_the_one_with_least_left() -> None:
    wide, tight = Left(limit_of(limit=100), 10, 5), Left(limit_of(limit=20), 15, 5)
    tokens = Left(limit_of("tokens", limit=1), 1, 5)
    assert nearest([wide, tight, tokens], "requests") == tight
    assert nearest([wide, tight], "tokens") is None


def test_a_refused_script_is_an_outage_and_not_a_free_pass() -> None:
    with pytest.raises(RedisAway):
        held(limit_of(), tenant="acme").read(ResponseError("LOADING"))


async def test_fifty_at_once_never_take_more_than_there_is() -> None:
    hold = held(limit_of("tokens", limit=1000), tenant=unique("race"))
    async with server() as one, server() as other:
        took = await asyncio.gather(*(try_to_take(trips, hold) for trips in (one, other) for _ in range(25)))
        assert sum(took) == 10
        assert int(await one.client.get(hold.keys[0])) == 1000


async def test_a_refused_hold_takes_from_no_quota_and_names_the_one_that_refused() -> None:
    plenty, little = limit_of("tokens", limit=10_000, id=1), limit_of("requests", limit=1, id=2)
    hold = held(plenty, little, tenant=unique("acme"))
    async with server() as trips:
        await take(trips, hold)
        with pytest.raises(QuotaSpent, match="requests a day") as refused:
            await take(trips, hold)
        assert (refused.value.limit, refused.value.used) == (little, 1)
        assert 1 <= refused.value.resets_in_s <= 86_401
        assert [int(value) for value in await trips.client.mget(hold.keys)] == [100, 1]


async def test_a_soft_quota_is_passed_and_shows_it() -> None:
    hold = held(limit_of(limit=1, hard=False), tenant=unique("acme"))
    async with server() as trips:
        await take(trips, hold)
        [left] = await take(trips, hold)
        assert left.used == 2


async def test_settling_leaves_what_was_really_used() -> None:
    hold = held(limit_of("tokens", limit=1000), limit_of("cost", limit=10_000, id=2), tenant=unique("acme"))
    async with server() as trips:
        await take(trips, hold)
        await trips.run([hold.settle(Spend(1, 130, 40))])
        assert [int(value) for value in await trips.client.mget(hold.keys)] == [130, 40]


async def test_counters_expire_after_their_window_and_lost_ones_are_not_born_negative() -> None:
    hold = held(limit_of("tokens", limit=1000, window="minute"), tenant=unique("acme"))
    async with server() as trips:
        await take(trips, hold)
        assert 60 < await trips.client.ttl(hold.keys[0]) <= 121
        await trips.client.delete(hold.keys[0])
        await trips.run([hold.settle(Spend(1, 0, 0))])
        assert await trips.client.get(hold.keys[0]) is None


async def test_a_tenants_counter_is_not_anothers() -> None:
    first, second = (held(limit_of(limit=1), tenant=unique("tenant")) for _ in range(2))
    async with server() as trips:
        assert await try_to_take(trips, first)
        assert await try_to_take(trips, second)
        assert not await try_to_take(trips, first)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_hold_and_settlement_add_up_to_what_was_used(requests: int, tokens: int, cost: int) -> None:
    limits = (limit_of("requests"), limit_of("tokens", id=2), limit_of("cost", id=3))
    actual = Spend(requests, tokens, cost)
    command: tuple[Any, ...] = held(*limits, tenant="acme", now=NOW).settle(actual)
    corrections = command[-3:]
    assert [ESTIMATE.of(limit.metric) + by for limit, by in zip(limits, corrections, strict=True)] == [
        requests,
        tokens,
        cost,
    ]
