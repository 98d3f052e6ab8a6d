"""Claims on idempotency keys, against a real server."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from caching.claims import KEPT_S, LARGEST_VALUE, LEASE_S, Claim, claim_of
from caching.exact import Stored
from conftest import unique

ANSWER = Stored(
    answer=b'{"choices": []}',
    trace_id="t1",
    policy="demo",
    policy_version=1,
    deployment="d",
    model="m",
    created_at=1.0,
    tokens_in=1,
    tokens_out=2,
    cost_microusd=3,
)


@pytest.fixture
def run() -> Iterator[Any]:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        yield lambda command: client.execute_command(*command)


def claim(name: str, holder: str = "first", **body: Any) -> Claim:
    return claim_of(tenant="acme", api_key="k", name=name, holder=holder, endpoint="chat", body=body)


def test_the_first_holds_the_key_and_the_others_get_its_answer(run: Any) -> None:
    name = unique("order")
    first, other = claim(name), claim(name, "second")
    assert run(first.take()) is None
    assert other.read(run(other.take())) == (True, None)
    assert run(first.end(ANSWER)) == 1
    assert other.read(run(other.take())) == (True, ANSWER)
    assert KEPT_S - 5 <= run(("TTL", first.key)) <= KEPT_S


def test_a_claim_that_is_sent_twice_is_still_the_first(run: Any) -> None:
    first = claim(unique("order"))
    assert run(first.take()) is None and run(first.take()) is None


def test_another_request_is_told_apart(run: Any) -> None:
    name = unique("order")
    run(claim(name, said="a").take())
    other = claim(name, "second", said="b")
    assert other.read(run(other.take())) == (False, None)


def test_without_an_answer_the_key_is_free_again(run: Any) -> None:
    name = unique("order")
    first, other = claim(name), claim(name, "second")
    run(first.take())
    assert run(other.end(None)) == 0, "nobody ends another's claim"
    assert run(first.end(None)) == 1
    assert run(other.take()) is None


def test_an_answer_too_large_to_keep_frees_the_key(run: Any) -> None:
    first = claim(unique("order"))
    run(first.take())
    large = Stored(**{name: getattr(ANSWER, name) for name in Stored.__slots__} | {"answer": b"x" * LARGEST_VALUE})
    run(first.end(large))
    assert run(("EXISTS", first.key)) == 0


def test_a_lease_that_is_not_renewed_ends(run: Any) -> None:
    name = unique("order")
    first, other = claim(name), claim(name, "second")
    run(first.take())
    run(("PEXPIRE", first.key, 1000))
    assert run(first.renew()) == 1
    assert LEASE_S - 2 <= run(("TTL", first.key)) <= LEASE_S
    run(("DEL", first.key))
    assert run(first.renew()) == 0
    assert run(other.take()) is None
    assert run(first.end(ANSWER)) == 0, "the key is another's now"
