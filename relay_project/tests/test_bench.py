"""The measuring tools are right about what they measure; how long it takes is no test."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable

import orjson
import pytest
import pytest_asyncio
from django.core.management import CommandError, call_command

from relay_project.bench.cores import cpu_s, rss_mb
from relay_project.bench.load import Outcome, Server, body, drive
from relay_project.bench.planning import CANDIDATES, POLICY, plan_cpu_ms, plan_many
from relay_project.bench.upstream import CHUNKS, PACE_S, STREAM, Upstream
from relay_project.embedded.ports import free_port
from routing.core.plan import ActivePolicy
from routing.documents import read_policy


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    port = free_port()
    listening = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    yield Server(port, "no key")
    listening.close()


async def load(server: Server, bodies: Iterable[bytes], **expected: str) -> Outcome:
    wanted = {name.replace("_", "-"): value for name, value in expected.items()}
    return await drive(server, bodies, clients=3, expected=wanted)


async def test_every_request_is_sent_and_timed_once(server: Server) -> None:
    outcome = await load(server, (body("m", number=number, stream=number % 2 == 0) for number in range(20)))
    assert len(outcome.latencies_ms) == 20 and outcome.p50_ms > 0
    assert outcome.errors == {}


async def test_a_paced_stream_takes_its_time(server: Server) -> None:
    outcome = await load(server, [body("m", paced=True)])
    assert outcome.errors == {} and outcome.p50_ms > CHUNKS * PACE_S * 1000


async def test_an_answer_from_elsewhere_than_expected_is_an_error(server: Server) -> None:
    outcome = await load(server, [body("m")] * 4, x_relay_cache="exact")
    assert outcome.errors == {"not x-relay-cache: exact": 4}


async def test_a_server_that_is_away_is_an_error() -> None:
    with pytest.raises(OSError):
        await load(Server(free_port(), "no key"), [body("m")])


def test_prompts_with_a_number_differ_and_those_without_do_not() -> None:
    assert len({body("m", number=number) for number in range(100)}) == 100
    assert body("m") == body("m")
    assert orjson.loads(body("m", stream=True))["stream"] is True


def test_a_stream_has_the_role_then_thirty_chunks_then_the_end() -> None:
    assert sum(b'"content":" word' in piece for piece in STREAM) == CHUNKS == 30
    assert b"[DONE]" in STREAM[-1] and STREAM[-1].endswith(b"0\r\n\r\n")


def test_processor_time_and_memory_of_a_process_grow_with_use() -> None:
    before = cpu_s(os.getpid())
    while cpu_s(os.getpid()) - before < 0.02:
        sum(range(10_000))
    assert 20 < rss_mb(os.getpid()) < 4_000


def test_planning_is_measured_with_candidates_that_can_all_be_chosen() -> None:
    plan = plan_many(ActivePolicy("bench", 1, read_policy(POLICY)))
    assert (plan.strategy, len(plan.attempts)) == ("scored", CANDIDATES)
    assert plan_cpu_ms() > 0


def test_servers_that_hold_something_are_not_used(committed: None) -> None:
    with pytest.raises(CommandError, match="holds something"):
        call_command("bench")
