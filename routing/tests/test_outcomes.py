"""Outcomes counted by minute: their sums over windows, and how processes share them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import RedisError

from conftest import unique
from relay_project.embedded.ports import free_port
from routing.core.outcomes import (
    EDGES_MS,
    FAILED,
    MIN_SAMPLES,
    NONE,
    WINDOWS_MIN,
    Counts,
    Sums,
    add,
    bucket,
    burn,
    error_rate,
    p95_ms,
    summed,
    together,
)
from routing.outcomes import KEY, Outcomes

NOW = 1_800_000_000.0
LATENCIES = st.lists(st.floats(0, 200_000), min_size=1, max_size=50)
COUNTS = st.dictionaries(st.integers(FAILED, len(EDGES_MS)), st.integers(1, 99), max_size=4)
MINUTES = st.dictionaries(st.integers(0, 500), st.fixed_dictionaries({"a": COUNTS}), max_size=20)


def of(counts: Counts) -> Sums:
    return summed({0: {"a": counts}}, "a", [0], 0)


@given(MINUTES, st.integers(0, 500), st.sets(st.integers(0, 500)))
def test_sums_of_some_minutes_and_of_the_others_are_the_sums_of_all(
    minutes: dict[int, dict[str, Counts]], now: int, some: set[int]
) -> None:
    others = set(minutes) - some
    whole = summed(minutes, "a", minutes, now)
    assert together(summed(minutes, "a", some, now), summed(minutes, "a", others, now)) == whole
    assert together(whole, NONE) == whole
    for (attempts, failures), length in zip(whole.windows, WINDOWS_MIN, strict=True):
        inside = [names["a"] for minute, names in minutes.items() if now - minute < length]
        assert attempts == sum(sum(counts.values()) for counts in inside)
        assert failures == sum(counts.get(FAILED, 0) for counts in inside)
    assert summed(minutes, "unknown", minutes, now) == NONE


@given(LATENCIES)
def test_the_p95_lies_in_the_bucket_of_the_true_one(latencies: list[float]) -> None:
    counts: Counts = {}
    for latency in latencies:
        add(counts, {bucket(latency): 1})
    true = sorted(latencies)[-(-95 * len(latencies) // 100) - 1]
    number = bucket(true)
    found = p95_ms(of(counts))
    assert found is not None
    assert (EDGES_MS[number - 1] if number else 0) <= found <= EDGES_MS[min(number, len(EDGES_MS) - 1)]


def test_without_answers_there_is_no_p95_and_without_attempts_no_error_rate() -> None:
    assert p95_ms(of({FAILED: 7})) is None
    assert error_rate(NONE) == 0.0
    assert error_rate(of({FAILED: 1, 3: 3})) == 0.25


def test_few_attempts_burn_nothing() -> None:
    assert burn(of({FAILED: MIN_SAMPLES - 1})).m5 == 0
    assert burn(of({FAILED: 1, 3: 9})).h6 == pytest.approx(10)


@pytest_asyncio.fixture
async def redis() -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(settings.REDIS_URL)
    yield client
    await client.aclose()


async def test_processes_see_each_others_outcomes_and_a_new_one_sees_those_of_hours_ago(redis: Redis) -> None:
    name, hours_ago = unique("model"), NOW - 5 * 3600
    one, other = Outcomes(), Outcomes()
    one.add(name, 3, hours_ago)
    one.add(name, FAILED, hours_ago)
    await one.share(redis, hours_ago)
    await one.share(redis, NOW - 60)
    one.add(name, 4, NOW - 60)
    other.add(name, FAILED, NOW)
    await one.share(redis, NOW)
    await other.share(redis, NOW)
    await one.share(redis, NOW)
    newborn = Outcomes()
    await newborn.share(redis, NOW)
    expected = Sums(((2, 1), (2, 1), (2, 1), (4, 2)), {4: 1})
    assert [process.sums(NOW)[name] for process in (one, other, newborn)] == [expected] * 3
    assert 0 < await redis.ttl(f"{KEY}{int(NOW // 60)}") <= 7 * 3600


async def test_without_redis_it_goes_on_with_its_own_and_tells_the_others_later(redis: Redis) -> None:
    name = unique("model")
    process = Outcomes()
    async with Redis.from_url(f"redis://127.0.0.1:{free_port()}") as away:
        for minute in range(3):
            process.add(name, FAILED, NOW + 60 * minute)
            with pytest.raises(RedisError):
                await process.share(away, NOW + 60 * minute)
    later = NOW + 120
    assert process.sums(later)[name].windows[0] == (3, 3)
    await process.share(redis, later)
    newborn = Outcomes()
    await newborn.share(redis, later)
    assert process.sums(later)[name] == newborn.sums(later)[name]
    assert process.sums(later)[name].windows[0] == (3, 3)


def test_what_is_too_old_is_forgotten() -> None:
    process = Outcomes()
    process.add("a", FAILED, NOW)
    process.add("b", FAILED, NOW + 3600 * 5)
    assert process.sums(NOW + 3600 * 5)["a"].windows == ((0, 0), (0, 0), (0, 0), (1, 1))
    assert set(process.sums(NOW + 3600 * 6)) == {"b"}
