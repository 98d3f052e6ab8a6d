"""Web processes and the real lane worker, over the real channel layer."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from channels_redis.core import RedisChannelLayer
from django.conf import settings

from scheduling.client import Ask, Grant, LaneClient, QueueFull
from scheduling.core.board import Board
from scheduling.core.lanes import DEFAULT_LANES, LaneConfig
from scheduling.link import SILENT_S, _within

numbers = count()
WITH_WORKER, WITHOUT_WORKER, WORKER_DIES = 5, 6, 7


def redis_url(database: int) -> str:
    """A database of the test server that nothing else talks through."""
    return f"{settings.REDIS_URL.rpartition('/')[0]}/{database}"


@contextmanager
def worker(database: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "REDIS_URL": redis_url(database)}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "runworker", "lanes"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


@pytest.fixture(scope="module")
def lane_worker() -> Iterator[None]:
    with worker(WITH_WORKER):
        asyncio.run(_over_its_first_lease())
        yield


async def _over_its_first_lease() -> None:
    """A new worker leaves everything as it is for a while; then the only process gets all slots."""
    async with web(WITH_WORKER, processes=2) as client:
        async with client.admission(ask(pool="probe")):
            pass
        await until(lambda: client.snapshot()["pools"]["probe"]["permits"] == 2)


@asynccontextmanager
async def web(
    database: int, *, processes: int = 1, lanes: Mapping[str, LaneConfig] = DEFAULT_LANES
) -> AsyncIterator[LaneClient]:
    config: dict[str, Any] = settings.CHANNEL_LAYERS["default"]["CONFIG"]  # type: ignore[assignment]
    [host] = config["hosts"]
    layer = RedisChannelLayer(**{**config, "hosts": [{**host, "address": redis_url(database)}]})
    client = LaneClient(layer, lanes=lambda: lanes, processes=processes)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()
        await layer.close_pools()


async def until(look: Callable[[], Any], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.01)


def ask(**changes: Any) -> Ask:
    plain = Ask(pool="llama", capacity=2, lane="short", tenant="acme", cost_tokens=100, max_tokens=500, timeout_s=30)
    return replace(plain, **changes)


def new_pool() -> str:
    return f"pool-{next(numbers)}"


def figures(client: LaneClient, pool: str, what: str, lane: str = "short") -> int:
    pools = client.snapshot()["pools"]
    return int(pools[pool]["lanes"][lane][what]) if pool in pools else 0


class Request:
    """A request in a task of its own, that keeps its slot until told to end."""

    def __init__(self, client: LaneClient, wanted: Ask) -> None:
        self.end = asyncio.Event()
        self.granted: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run(client, wanted))

    async def _run(self, client: LaneClient, wanted: Ask) -> None:
        async with client.admission(wanted) as grant:
            self.granted.set_result(grant)
            await self.end.wait()

    async def finish(self) -> Grant:
        grant = await asyncio.wait_for(self.granted, 20)
        self.end.set()
        await self.task
        return grant

    async def cancel(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_a_free_slot_is_given_at_once_without_any_message() -> None:
    async with web(WITHOUT_WORKER) as client:
        for _ in range(10):
            async with client.admission(ask()) as grant:
                assert (grant.decision, grant.max_tokens, grant.queue_wait_ms) == ("granted", 500, 0.0)
                assert figures(client, "llama", "in_flight") == 1
        assert figures(client, "llama", "in_flight") == 0


async def test_a_stop_that_comes_with_an_event_is_heard() -> None:
    event = asyncio.Event()

    async def work() -> None:
        while True:
            await _within(30, event)
            event.clear()

    working = asyncio.create_task(work())
    for happens in (lambda: None, lambda: None, event.set, working.cancel):
        happens()
        await asyncio.sleep(0)
    done, _ = await asyncio.wait([working], timeout=5)
    assert done


async def test_without_a_worker_requests_wait_for_each_other_and_the_grant_says_so() -> None:
    async with web(WITHOUT_WORKER, processes=2) as client:
        first = Request(client, ask())
        second = Request(client, ask(tenant="globex"))
        await until(lambda: figures(client, "llama", "waiting") == 1)
        assert not {"acme", "globex"} & set(re.findall(r"\w+", str(client.snapshot())))
        assert (await first.finish()).decided_by == "last-share"
        grant = await second.finish()
        assert grant.decided_by == "last-share"
        assert grant.queue_wait_ms > 0
        assert "lane worker does not answer" in grant.reason
        assert client.snapshot()["worker_alive"] is False


async def test_requests_go_on_while_redis_is_away_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    closed_port = RedisChannelLayer(hosts=["redis://127.0.0.1:1/0"])
    client = LaneClient(closed_port, lanes=lambda: DEFAULT_LANES)
    await client.start()
    await until(lambda: "cannot reach the worker" in caplog.text)
    async with client.admission(ask()) as grant:
        assert grant.decided_by == "last-share"
    await client.stop()
    assert caplog.text.count("cannot reach the worker") == 1


async def test_an_answer_to_a_report_of_long_ago_is_not_followed() -> None:
    """It may have lain in the channel while nobody read; its permits may be others' by now."""
    async with web(WITHOUT_WORKER) as client:
        link = client._link
        async with client.admission(ask(capacity=4)):
            pass
        report = client._describe(-5, "")
        [(_, order)] = Board("worker", 0.0).hear(report, 0.0)
        link._hear(order)
        assert client.snapshot()["worker_alive"] is False


async def test_a_failing_request_returns_its_slot() -> None:
    async with web(WITHOUT_WORKER) as client:
        with pytest.raises(RuntimeError):
            async with client.admission(ask()):
                raise RuntimeError
        assert figures(client, "llama", "in_flight") == 0


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    lanes = {"short": replace(DEFAULT_LANES["short"], max_queue=1)}
    async with web(WITHOUT_WORKER, lanes=lanes) as client:
        running = [Request(client, ask(capacity=1)), Request(client, ask(capacity=1))]
        await until(lambda: figures(client, "llama", "waiting") == 1)
        with pytest.raises(QueueFull) as refusal:
            async with client.admission(ask(capacity=1)):
                pass
        assert 1 <= refusal.value.retry_after_s <= 60
        assert (refusal.value.pool, refusal.value.lane, refusal.value.queue_depth) == ("llama", "short", 1)
        assert "full" in str(refusal.value)
        for request in running:
            await request.finish()


async def test_a_wait_beyond_the_limit_ends_in_a_refusal() -> None:
    async with web(WITHOUT_WORKER) as client:
        running = Request(client, ask(capacity=1))
        await asyncio.wait_for(running.granted, 20)
        with pytest.raises(QueueFull, match=r"0\.05 s"):
            async with client.admission(ask(capacity=1, timeout_s=0.05)):
                pass
        assert figures(client, "llama", "waiting") == 0
        await running.finish()


async def test_cancelled_requests_give_back_their_place_or_the_slot_they_just_got() -> None:
    async with web(WITHOUT_WORKER) as client:
        running, leaving, last = (Request(client, ask(capacity=1)) for _ in range(3))
        await until(lambda: figures(client, "llama", "waiting") == 2)
        await leaving.cancel()
        assert figures(client, "llama", "waiting") == 1
        at_that_moment = Request(client, ask(capacity=1))
        await until(lambda: figures(client, "llama", "waiting") == 2)
        running.end.set()
        last.task.cancel()
        await asyncio.gather(running.task, last.task, return_exceptions=True)
        await at_that_moment.finish()
        assert figures(client, "llama", "in_flight") == 0


async def test_a_slot_given_to_a_request_that_was_cancelled_in_the_same_breath_goes_on() -> None:
    """Before or after the slot came free: no turn of the event loop lies between."""
    async with web(WITHOUT_WORKER) as client:
        for cancelled_first in (True, False):
            async with client.admission(ask(capacity=1)):
                unlucky, next_one = Request(client, ask(capacity=1)), Request(client, ask(capacity=1))
                await until(lambda: figures(client, "llama", "waiting") == 2)
                if cancelled_first:
                    unlucky.task.cancel()
            unlucky.task.cancel()
            await next_one.finish()
            assert unlucky.task.cancelled()
            assert figures(client, "llama", "in_flight") == 0


async def test_stopping_ends_every_wait() -> None:
    async with web(WITHOUT_WORKER) as client:
        running, waiting = Request(client, ask(capacity=1)), Request(client, ask(capacity=1))
        await until(lambda: figures(client, "llama", "waiting") == 1)
        await client.stop()
        with pytest.raises(QueueFull, match="shutting down"):
            await waiting.task
        await running.finish()


async def test_a_long_predicted_wait_shortens_the_answer_and_never_lengthens_it() -> None:
    lanes = {"short": replace(DEFAULT_LANES["short"], wait_slo_ms=1, degraded_max_tokens=64)}
    async with web(WITHOUT_WORKER, lanes=lanes) as client:
        wanted = [ask(capacity=1), ask(capacity=1), ask(capacity=1, max_tokens=10), ask(capacity=1, max_tokens=None)]
        requests = [Request(client, one) for one in wanted]
        await until(lambda: figures(client, "llama", "waiting") == 3)
        grants = [await request.finish() for request in requests]
        assert [(grant.decision, grant.max_tokens) for grant in grants] == [
            ("granted", 500),
            ("degraded", 64),
            ("granted", 10),
            ("degraded", 64),
        ]
        assert "limited to 64 tokens" in grants[1].reason


async def test_two_processes_share_one_pool_and_the_worker_gives_out_freed_slots(lane_worker: None) -> None:
    pool = new_pool()
    async with AsyncExitStack() as stack:
        webs = [await stack.enter_async_context(web(WITH_WORKER, processes=2)) for _ in range(2)]
        await until(lambda: all(client.snapshot()["worker_alive"] for client in webs))
        tenants = ["acme", "globex"]
        peak = 0

        async def one(place: int) -> Grant:
            nonlocal peak
            async with webs[place].admission(ask(pool=pool, capacity=4, tenant=tenants[place])) as grant:
                peak = max(peak, sum(figures(client, pool, "in_flight") for client in webs))
                await asyncio.sleep(0.02)
                return grant

        await Request(webs[0], ask(pool=pool, capacity=4)).finish()
        await until(lambda: _settled(webs, pool))
        grants = await asyncio.wait_for(asyncio.gather(*(one(number % 2) for number in range(80))), 60)
        assert peak <= 4
        assert any(grant.decided_by == "worker" and "fair order" in grant.reason for grant in grants)
        assert sum(figures(client, pool, "in_flight") + figures(client, pool, "waiting") for client in webs) == 0


def _settled(webs: list[LaneClient], pool: str) -> bool:
    """Both know the pool, and what they may use adds up to it."""
    pools = [client.snapshot()["pools"].get(pool, {"permits": 0}) for client in webs]
    return all(client["permits"] == 2 for client in pools)


async def test_one_busy_process_gets_the_slots_that_the_other_does_not_use(lane_worker: None) -> None:
    pool = new_pool()
    async with web(WITH_WORKER, processes=2) as busy, web(WITH_WORKER, processes=2) as idle:
        await until(lambda: busy.snapshot()["worker_alive"] and idle.snapshot()["worker_alive"])
        requests = [Request(busy, ask(pool=pool, capacity=4)) for _ in range(5)]
        await until(lambda: figures(busy, pool, "in_flight") == 4)
        late = Request(idle, ask(pool=pool, capacity=4, tenant="globex"))
        await until(lambda: figures(busy, pool, "waiting_elsewhere") == 1)
        await requests[0].finish()
        await requests[1].finish()
        assert (await late.finish()).decided_by in {"worker", "in-process"}
        for request in requests[2:]:
            await request.finish()


async def test_a_cancelled_wait_is_forgotten_by_the_worker(lane_worker: None) -> None:
    pool = new_pool()
    async with web(WITH_WORKER, processes=2) as first, web(WITH_WORKER, processes=2) as second:
        await until(lambda: first.snapshot()["worker_alive"] and second.snapshot()["worker_alive"])
        running = [Request(first, ask(pool=pool)) for _ in range(3)]
        await until(lambda: figures(first, pool, "in_flight") == 2)
        waiting = Request(second, ask(pool=pool))
        await until(lambda: figures(first, pool, "waiting_elsewhere") == 1)
        await waiting.cancel()
        await until(lambda: figures(first, pool, "waiting_elsewhere") == 0)
        for request in running:
            await request.finish()


async def test_the_queue_bound_counts_all_processes(lane_worker: None) -> None:
    pool = new_pool()
    lanes = {"short": replace(DEFAULT_LANES["short"], max_queue=3)}
    async with AsyncExitStack() as stack:
        webs = [await stack.enter_async_context(web(WITH_WORKER, processes=2, lanes=lanes)) for _ in range(2)]
        await until(lambda: all(client.snapshot()["worker_alive"] for client in webs))
        requests = [Request(webs[number % 2], ask(pool=pool, capacity=2)) for number in range(12)]
        await until(lambda: sum(request.task.done() for request in requests) == 12 - 2 - 3)
        refusals = [request.task.exception() for request in requests if request.task.done()]
        assert all(isinstance(refusal, QueueFull) for refusal in refusals)
        for request in requests:
            if not request.task.done():
                request.end.set()
        await asyncio.gather(*(request.task for request in requests), return_exceptions=True)


async def test_a_killed_worker_leaves_the_last_share_and_a_new_one_is_followed() -> None:
    pool = new_pool()
    async with web(WORKER_DIES, processes=2) as first, web(WORKER_DIES, processes=2) as second:
        webs = [first, second]
        with worker(WORKER_DIES) as process:
            await until(lambda: all(client.snapshot()["worker_alive"] for client in webs))
            requests = [
                Request(client, ask(pool=pool, capacity=4, tenant=tenant))
                for client, tenant in zip(webs, ("acme", "globex"), strict=True)
                for _ in range(6)
            ]
            await until(lambda: sum(figures(client, pool, "in_flight") for client in webs) == 4)
            process.send_signal(signal.SIGKILL)
            await until(lambda: not any(client.snapshot()["worker_alive"] for client in webs), within_s=10 * SILENT_S)
        grants = [await request.finish() for request in requests]
        assert {grant.decided_by for grant in grants} >= {"last-share"}
        with worker(WORKER_DIES):
            await until(lambda: all(client.snapshot()["worker_alive"] for client in webs))
            async with first.admission(ask(pool=pool, capacity=4)) as grant:
                assert grant.decided_by != "last-share"
