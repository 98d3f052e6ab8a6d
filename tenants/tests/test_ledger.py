"""Holds and settlements of processes, against a real server."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tenants.core.limits import counter_of
from tenants.core.spend import Left, Spend
from tenants.holds import Hold, QuotaSpent, Settlement
from tenants.ledger import Ledger, NotCounted
from tenants.redis import Command, RedisAway, Trips
from tenants.scripts import EPOCH
from tenants.tests.ledger_server import (
    STREAM,
    URL,
    Cable,
    Server,
    account,
    limit_of,
    parts,
    process,
    refused,
    settle,
    take,
)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Redis.from_url(URL) as client:
        await client.flushdb()
        yield Server(client)


async def test_many_at_once_over_many_processes_never_take_more_than_there_is(server: Server) -> None:
    limit = limit_of("tokens", 1_000)
    async with AsyncExitStack() as stack:
        ledgers = [await stack.enter_async_context(process(server)) for _ in range(3)]
        results = await asyncio.gather(*(refused(ledgers[number % 3], limit) for number in range(60)))
    assert results.count(False) == 10
    assert await server.used(limit) == (0, 1_000)


async def test_a_refused_hold_takes_from_no_limit_and_names_the_one_that_refused(server: Server) -> None:
    plenty, little = limit_of("tokens", 10_000), limit_of("requests", 1)
    async with process(server) as ledger:
        await take(ledger, parts(plenty, little))
        with pytest.raises(QuotaSpent, match="requests a day") as caught:
            await take(ledger, parts(plenty, little))
    assert (caught.value.limit, caught.value.used) == (little, 1)
    assert [(left.limit, left.used) for left in caught.value.left] == [(plenty, 100), (little, 1)]
    assert 1 <= caught.value.resets_in_s <= 86_401
    assert await server.used(plenty) == (0, 100)


async def test_a_soft_limit_is_passed_and_shows_it(server: Server) -> None:
    soft = limit_of(limit=1, hard=False)
    async with process(server) as ledger:
        for number in (1, 2):
            mine = account()
            taken, _ = await ledger.hold(mine, mine.asking(parts(soft)), time.time())
            assert [left.used for left in taken.left] == [number]


async def test_settling_leaves_what_was_really_used_and_appends_the_trace_once(server: Server) -> None:
    tokens, cost, requests = limit_of("tokens", 1_000), limit_of("cost", 10_000), limit_of()
    async with process(server) as ledger:
        mine, _ = await take(ledger, parts(tokens, cost, requests))
        mine.charge("anything", Spend(1, 130, 40))
        for _ in range(2):
            await settle(ledger, mine)
    assert [await server.used(limit) for limit in (tokens, cost, requests)] == [(130, 0), (40, 0), (1, 0)]
    assert await server.client.xlen(STREAM) == 1


async def test_the_first_deployment_with_room_is_held_and_the_rest_is_not(server: Server) -> None:
    first = [limit_of(limit=2, deployment="one"), limit_of("neurons", 6, deployment="one")]
    second = [limit_of(limit=1, deployment="two")]
    async with process(server) as ledger:
        chosen = [(await take(ledger, (), parts(*first), parts(*second)))[1] for _ in range(4)]
    assert chosen == [0, 0, 1, None]
    assert [await server.used(limit) for limit in (*first, *second)] == [(0, 2), (0, 5_000_000), (0, 1)]


async def test_a_deployment_without_limits_always_has_room(server: Server) -> None:
    spent, caller = limit_of(limit=1, deployment="one"), limit_of()
    async with process(server) as ledger:
        assert [(await take(ledger, parts(caller), parts(spent), ()))[1] for _ in range(3)] == [0, 1, 1]
    assert await server.used(caller) == (0, 3)


async def test_an_attempt_is_charged_to_its_deployment_and_all_of_them_to_the_caller(server: Server) -> None:
    caller, one, two = limit_of("tokens", 1_000), *(limit_of("tokens", 1_000, deployment=name) for name in ("a", "b"))
    async with process(server) as ledger:
        mine, _ = await take(ledger, parts(caller), parts(one))
        await ledger.hold(mine, mine.asking((), (parts(two),)), time.time())
        mine.charge("a", Spend(1, 7))
        mine.charge("b", Spend(1, 20))
        await settle(ledger, mine)
    assert [await server.used(limit) for limit in (caller, one, two)] == [(27, 0), (7, 0), (20, 0)]


async def test_a_hold_that_is_sent_twice_holds_once_and_says_the_same(server: Server) -> None:
    caller, spent, next_one = limit_of(), limit_of(limit=1, deployment="one"), limit_of(deployment="two")
    async with process(server) as ledger:
        await take(ledger, (), parts(spent))
        mine = account()
        hold = mine.asking(parts(caller), (parts(spent), parts(next_one)))
        first, _ = await ledger.hold(mine, hold, time.time())
        again, _ = await ledger.hold(account(), hold, time.time())
    assert (first.chosen, again.chosen) == (1, 1)
    assert [await server.used(limit) for limit in (caller, spent, next_one)] == [(0, 1), (0, 1), (0, 1)]


async def test_a_connection_that_breaks_before_the_reply_does_not_hold_twice(server: Server) -> None:
    limit, cable = limit_of(), Cable()
    between = await asyncio.start_server(cable.carry, "127.0.0.1", 0)
    parts_of_url = urlsplit(URL)
    port = between.sockets[0].getsockname()[1]
    url = parts_of_url._replace(netloc=f":{parts_of_url.password}@127.0.0.1:{port}").geturl()
    async with between, process(server, url=url) as ledger:
        await take(ledger, parts(limit))
        cable.cut = True
        await take(ledger, parts(limit))
    assert not cable.cut, "a reply was lost"
    assert await server.used(limit) == (0, 2)


@pytest.mark.parametrize("happened", [True, False])
async def test_a_hold_whose_reply_was_lost_is_given_back_if_it_happened(server: Server, happened: bool) -> None:
    caller, spent, other = limit_of(), limit_of(limit=1, deployment="one"), limit_of(deployment="two")
    async with process(server) as ledger:
        await take(ledger, parts(caller), parts(other))
        await take(ledger, (), parts(spent))
        mine = account()
        hold = mine.asking(parts(caller), (parts(spent), parts(other)))
        if happened:
            await ledger.hold(account(), hold, time.time())  # the account does not learn of it
        await settle(ledger, mine)
    assert [await server.used(limit) for limit in (caller, spent, other)] == [(0, 1), (0, 1), (0, 1)]


async def test_a_server_that_was_emptied_is_counted_anew_with_what_is_held(server: Server) -> None:
    limit = limit_of(limit=3)
    async with process(server) as ledger:
        mine, _ = await take(ledger, parts(limit))
        await take(ledger, parts(limit))
        await server.client.flushdb()
        assert not await refused(ledger, limit), "the third of three"
        assert await refused(ledger, limit)
        await settle(ledger, mine)
    assert server.rebuilt == 2
    assert await server.used(limit) == (1, 2)


async def test_another_process_says_what_it_holds_as_soon_as_it_looks(server: Server) -> None:
    limit = limit_of(limit=3)
    async with process(server) as ledger, process(server) as other:
        await take(ledger, parts(limit))
        await take(other, parts(limit))
        await server.client.flushdb()
        await take(ledger, parts(limit))
        assert await other.watch([counter_of(limit, time.time())]) == [2], "as it was before it said so"
        assert await other.watch([counter_of(limit, time.time())]) == [3]
        assert await refused(ledger, limit)


async def test_however_many_notice_a_loss_what_was_done_lately_is_said_again_once(server: Server) -> None:
    limit, said = limit_of(), list[int]()

    def recent() -> list[Command]:
        said.append(1)
        return [("INCR", "said")]

    trips = Trips(URL)
    ledger = Ledger(trips, server.open, recent)
    await asyncio.gather(*(take(ledger, parts(limit)) for _ in range(8)))
    await trips.close()
    assert len(said) == 1 and await server.client.get("said") == b"1"
    assert await server.used(limit) == (0, 8)


async def test_watching_sees_to_counters_that_were_lost(server: Server) -> None:
    async with process(server) as ledger:
        assert await ledger.watch([]) is None
        await take(ledger, parts(limit_of()))
        assert await ledger.watch([]) == []
    assert server.rebuilt == 1


async def test_an_epoch_of_another_server_is_not_trusted(server: Server) -> None:
    """As after a restart with its data, or a move to a copy."""
    limit = limit_of()
    async with process(server) as ledger:
        await take(ledger, parts(limit))
        await cast(Any, server.client.hset(EPOCH, "run", "another"))
        await take(ledger, parts(limit))
    assert server.rebuilt == 2
    assert await server.used(limit) == (0, 2)


async def test_while_counters_cannot_be_rebuilt_holds_fail_and_soon_after_are_tried_again(server: Server) -> None:
    attempts: list[int] = []

    async def in_vain() -> None:
        attempts.append(1)
        raise ConnectionError("PostgreSQL is away")

    async with process(server, in_vain) as ledger:
        for _ in range(3):
            with pytest.raises(NotCounted):
                await take(ledger, parts(limit_of()))
    assert len(attempts) == 1, "not for every request"


async def test_what_the_dead_held_is_released_and_the_living_keep_theirs(server: Server) -> None:
    limit = limit_of()
    async with process(server) as living, process(server) as dead:
        await take(living, parts(limit))
        await take(dead, parts(limit))
        await living.beat()
        assert await server.used(limit) == (0, 2)
        await _silent(server, dead)
        await living.beat()
        assert await server.used(limit) == (0, 1)


async def test_who_died_with_nothing_held_disturbs_nobody(server: Server) -> None:
    limit = limit_of()
    async with process(server) as living, process(server) as dead:
        mine, _ = await take(dead, parts(limit))
        await settle(dead, mine)
        await _silent(server, dead)
        await living.beat()
        assert await server.used(limit) == (1, 0)
        [counter] = parts(limit)
        assert f"p:{dead.process}".encode() not in await cast(Any, server.client.hkeys(counter.counter.key))


async def test_who_was_taken_for_dead_says_again_what_it_holds_and_settles_right(server: Server) -> None:
    limit = limit_of()
    async with process(server) as living, process(server) as paused:
        mine, _ = await take(paused, parts(limit))
        await take(paused, parts(limit))
        await _silent(server, paused)
        await living.beat()
        assert await server.used(limit) == (0, 0)
        await settle(paused, mine)
        assert await server.used(limit) == (1, 0)
        await paused.beat()
        assert await server.used(limit) == (1, 1)


async def _silent(server: Server, ledger: Ledger) -> None:
    """Makes it so that the last beat was a minute ago."""
    await cast(Any, server.client.zadd("relay:{ledger}:processes", {ledger.process: time.time() - 60}))


async def test_who_ends_gives_back_what_it_holds(server: Server) -> None:
    limit = limit_of()
    async with process(server) as staying, process(server) as ending:
        await take(staying, parts(limit))
        await take(ending, parts(limit))
        await ending.leave()
        assert await server.used(limit) == (0, 1)


async def test_who_ends_waits_for_its_rebuild_so_that_nothing_is_written_afterwards(server: Server) -> None:
    finished = asyncio.Event()

    async def rebuild() -> None:
        await asyncio.sleep(0.3)
        finished.set()

    async with process(server, rebuild) as ledger:
        assert await ledger.watch([]) is None, "there is nothing to rebuild"
        await ledger.leave()
        assert finished.is_set()


async def test_a_trace_that_can_be_written_nowhere_leaves_nothing_held(server: Server) -> None:
    limit = limit_of(limit=2)
    async with process(server) as ledger:
        mine, _ = await take(ledger, parts(limit))
        settlement = mine.settlement(ledger.process)
        assert settlement is not None
        ledger.forget(settlement)
        await take(ledger, parts(limit))
    assert await server.used(limit) == (0, 1)


async def test_a_settlement_that_did_not_arrive_is_held_until_it_does(server: Server) -> None:
    limit = limit_of()
    async with process(server) as ledger:
        mine, _ = await take(ledger, parts(limit))
        settlement = mine.settlement(ledger.process)
        assert settlement is not None and Settlement.load(settlement.dump()) == settlement
        ledger.settling(settlement)
        ledger.settling(settlement, 1)
        await server.client.flushdb()
        await take(ledger, parts(limit))
    assert await server.used(limit) == (0, 2)


async def test_without_an_epoch_a_trace_is_appended_and_not_counted(server: Server) -> None:
    limit = limit_of()
    async with process(server) as ledger:
        mine, _ = await take(ledger, parts(limit))
        await server.client.flushdb()
        await settle(ledger, mine)
    assert await server.client.keys(f"*{limit.key}*") == []
    assert await server.client.xlen(STREAM) == 1


async def test_counters_expire_some_time_after_their_window(server: Server) -> None:
    limit = limit_of(window="minute")
    async with process(server) as ledger:
        await take(ledger, parts(limit))
    [counter] = parts(limit)
    assert 0 < await server.client.ttl(counter.counter.key) <= 60 + 900


async def test_lost_scripts_are_brought_again(server: Server) -> None:
    limit = limit_of()
    async with process(server) as ledger:
        await take(ledger, parts(limit))
        await server.client.script_flush()
        with pytest.raises(RedisAway):
            await take(ledger, parts(limit))
        await take(ledger, parts(limit))
    assert await server.used(limit) == (0, 2)


async def test_a_refused_script_is_an_outage_and_not_a_free_pass() -> None:
    class Loading(Trips):
        async def _trip(self, commands: Any) -> list[Any]:
            return [ResponseError("LOADING") for _ in commands]

    async def unused() -> None: ...

    trips = Loading(URL)
    with pytest.raises(RedisAway):
        await take(Ledger(trips, unused), parts(limit_of()))
    await trips.close()


def test_who_has_no_limits_settles_nothing() -> None:
    mine = account()
    mine.passes()
    assert mine.settlement("p") is None


def test_what_is_left_is_told_in_the_limits_own_unit() -> None:
    hold = Hold("h", parts(limit_of("neurons", 100)), ())
    assert [left.used for left in hold.read([0, -1, [2_500_001]], time.time()).left] == [3]
    assert Left(limit_of(limit=4), 5, 60).share == 0.0
