"""Redis and PostgreSQL die and come back while many clients ask: all of Relay as processes, real servers, no mercy."""

import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from conftest import eventually
from routing.tests.load import Load, under_load
from routing.tests.own_stack import OwnStack

SOME = 100  # requests: enough that each client had several turns


def test_both_servers_restart_under_load(own: OwnStack) -> None:
    with under_load(own) as load:
        flows_well(own, load)
        restart(own, load, "valkey")
        restart(own, load, "postgres")
    nothing_was_lost(own, load)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6))
def test_they_restart_again_and_again(own: OwnStack, seed: int) -> None:
    """One after the other and both at once, at moments that differ from run to run."""
    chance = random.Random(seed)
    outages = [["valkey"], ["postgres"], ["valkey", "postgres"], ["postgres", "valkey"]] * 2
    chance.shuffle(outages)
    with under_load(own) as load:
        for names in outages:
            flows_well(own, load)
            some_more(load, chance.randrange(SOME))
            restart(own, load, *names, away_for=chance.randrange(3 * SOME))
    nothing_was_lost(own, load)


def restart(own: OwnStack, load: Load, *names: str, away_for: int = SOME) -> None:
    """Kill them in this order and start them again; ``away_for``: requests that are answered meanwhile."""
    for name in names:
        own.kill(name)
    some_more(load, away_for)
    for name in names:
        {"valkey": own.start_valkey, "postgres": own.start_postgres}[name]()
    flows_well(own, load)


def some_more(load: Load, count: int) -> None:
    wanted = len(load.answered) + count
    eventually(lambda: len(load.answered) >= wanted)


def flows_well(own: OwnStack, load: Load) -> None:
    """By itself, with a quota and without."""
    since = len(load.answered)
    eventually(lambda: min(load.good(key, since) for key in (own.free, own.limited)) >= SOME // 4)


def nothing_was_lost(own: OwnStack, load: Load) -> None:
    bad = [one for one in load.answered if one.status not in {200, 503}]
    assert not bad, "served, or told to come back"
    told = [one for one in load.answered if one.status == 503]
    assert all(one.key == own.limited for one in told), "only whose quota cannot be known is told to come back"
    assert all(int(one.retry_after) >= 1 for one in told)
    good = [one for one in load.answered if one.status == 200]
    assert all(one.whole for one in good)
    asked = Counter(one.request_id for one in good)
    lost = until_empty(lambda: asked - traced(own))
    assert not lost, "acknowledged, but without a trace"
    assert not {name for name, count in traced(own).items() if count > 1}
    eventually(lambda: not list(own.spool.glob("*")))
    eventually(lambda: decided_by(own) == "in-process")
    assert not own.ended()


def until_empty(look: Callable[[], Counter[str]], *, within_s: float = 60.0) -> Counter[str]:
    """What is still there at the end."""
    deadline = time.monotonic() + within_s
    while (rest := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return rest


def traced(own: OwnStack) -> Counter[str]:
    """How many traces each request has."""
    return Counter(dict(own.query("SELECT request_id, count(*) FROM t_default.traces_trace GROUP BY 1")))


def decided_by(own: OwnStack) -> object:
    """Of a request that is made now: the lane worker, too, has found its way back."""
    trace_id = own.ask(own.limited).headers["x-relay-trace-id"]
    return eventually(lambda: own.decided_by(trace_id))
