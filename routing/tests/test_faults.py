"""What goes on when a part of the platform is gone."""

from typing import Any

import httpx

from conftest import eventually
from routing.tests.own_stack import OwnStack


def test_valkey_killed_and_back(own: OwnStack) -> None:
    answered = [own.ask(own.free) for _ in range(5)]
    own.kill("valkey")
    while_away = [own.ask(own.free) for _ in range(10)]
    limited = own.ask(own.limited)
    own.start_valkey()
    answered += while_away
    answered += [eventually(lambda: _good(own.ask(own.limited)))]
    assert {one.status_code for one in answered} == {200}, "who has no quota is served on"
    assert limited.status_code == 503 and int(limited.headers["retry-after"]) >= 1
    wanted = {one.headers["x-relay-trace-id"] for one in answered}
    eventually(lambda: wanted <= own.traces())


def test_postgresql_killed_and_back(own: OwnStack) -> None:
    own.kill("postgres")
    answered = [own.ask(key) for _ in range(5) for key in (own.free, own.limited)]
    own.start_postgres()
    assert {one.status_code for one in answered} == {200}, "known keys are served on"
    wanted = {one.headers["x-relay-trace-id"] for one in answered}
    eventually(lambda: wanted <= own.traces())


def test_the_lane_worker_killed_and_back(own: OwnStack) -> None:
    def decided_by() -> Any:
        answer = own.ask(own.free)
        assert answer.status_code == 200
        return eventually(lambda: own.decided_by(answer.headers["x-relay-trace-id"]))

    own.kill("lanes")  # it ends when it loses Redis, and is started again by whoever looks after it
    own.start_lanes()
    eventually(lambda: decided_by() == "in-process")
    own.kill("lanes")
    eventually(lambda: decided_by() == "last-share")
    own.start_lanes()
    eventually(lambda: decided_by() == "in-process")


def _good(answer: httpx.Response) -> Any:
    return answer if answer.status_code == 200 else None
