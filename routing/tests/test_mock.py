import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from routing import answers
from routing.providers.base import ProviderError, Target
from routing.providers.mock import Behaviour, Mock
from routing.tests.model_server import collect

PAYLOAD = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


def target(**options: Any) -> Target:
    return Target("d", "p", "mock", "model-x", "", options={"mean_ms": 0, **options})


async def test_a_stream_and_a_whole_answer_say_the_same() -> None:
    [whole] = await collect(Mock(), target(), PAYLOAD, stream=False)
    events = await collect(Mock(), target(chunk_ms=0.01), PAYLOAD, stream=True)
    streamed = answers.assemble([orjson.dumps(event) for event in events])
    assert streamed["choices"] == whole["choices"]
    assert streamed["usage"] == whole["usage"]
    assert whole["usage"]["completion_tokens"] == 24
    assert whole["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_the_limit_is_kept_and_said(limit: str) -> None:
    [whole] = await collect(Mock(), target(), {**PAYLOAD, limit: 3}, stream=False)
    assert whole["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "a gateway receives"},
        "finish_reason": "length",
    }


async def outcomes(mock: Mock, where: Target, tries: int) -> list[bool]:
    went = []
    for _ in range(tries):
        try:
            await collect(mock, where, PAYLOAD, stream=False)
            went.append(True)
        except ProviderError as error:
            assert (error.status, error.retryable) == (503, True)
            went.append(False)
    return went


async def test_errors_come_at_their_rate_and_from_the_seed() -> None:
    first = await outcomes(Mock(), target(error_rate=0.3, seed=1), 300)
    assert first == await outcomes(Mock(), target(error_rate=0.3, seed=1), 300)
    assert first != await outcomes(Mock(), target(error_rate=0.3, seed=2), 300)
    assert 0.2 < first.count(False) / 300 < 0.4


async def test_it_takes_its_time() -> None:
    [answer] = await collect(Mock(), target(mean_ms=1, p95_ms=1), PAYLOAD, stream=False)
    assert answer["model"] == "model-x"


def test_latency_has_the_mean_and_the_95th_percentile_that_were_asked_for() -> None:
    chance = random.Random(7)
    behaviour = Behaviour(mean_ms=40, p95_ms=120)
    drawn = sorted(behaviour.latency_s(chance) * 1000 for _ in range(20_000))
    assert statistics.fmean(drawn) == pytest.approx(40, rel=0.1)
    assert drawn[int(0.95 * len(drawn))] == pytest.approx(120, rel=0.1)
    assert Behaviour(mean_ms=0).latency_s(chance) == 0
    assert Behaviour(mean_ms=40, p95_ms=40).latency_s(chance) == 0.04


async def test_the_same_text_has_the_same_vector() -> None:
    async def vectors(**payload: Any) -> list[list[float]]:
        answer = orjson.loads(await Mock().embed(target(seed=3), {"model": "m", **payload}))
        return [one["embedding"] for one in answer["data"]]

    first, other = await vectors(input=["one", "two"])
    assert [first] == await vectors(input="one") and first != other
    assert len(first) == 64 and sum(number**2 for number in first) == pytest.approx(1)
    assert len((await vectors(input=[1, 2], dimensions=5))[0]) == 5


async def test_embeddings_fail_at_the_given_rate_and_when_too_many_are_wanted() -> None:
    with pytest.raises(ProviderError):
        await Mock().embed(target(error_rate=1.0), {"model": "m", "input": "x"})
    with pytest.raises(ProviderError) as refused:
        await Mock().embed(target(), {"model": "m", "input": ["x"] * 2048, "dimensions": 65_536})
    assert (refused.value.retryable, refused.value.param) == (False, "dimensions")


async def test_chunks_that_are_due_come_at_once() -> None:
    """A machine that was busy meanwhile makes the stream no longer than its pauses."""
    stream = Mock().chat(target(chunk_ms=20, reply_tokens=10), PAYLOAD, stream=True)
    await anext(stream)
    time.sleep(0.2)  # noqa: ASYNC251 - the event loop is kept from its work until all are due
    rest = asyncio.ensure_future(_count(stream))
    for _ in range(100):  # turns of the loop, no time
        await asyncio.sleep(0)
    assert rest.done() and rest.result() == 10


async def _count(stream: AsyncIterator[list[bytes]]) -> int:
    return len([events async for events in stream])
