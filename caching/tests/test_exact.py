from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caching.exact import LARGEST_VALUE, Stored, get_command, parse, put_command

STORED = Stored(
    answer=b'{"id": "x",\n "choices": []}', trace_id="01990000-0000-7000-8000-000000000001", policy="demo",
    policy_version=3, deployment="local", model="smollm2", created_at=1_000.5, tokens_in=9, tokens_out=30,
    cost_microusd=12,
)  # fmt: skip


def written(stored: Stored) -> bytes:
    command = put_command("relay:{acme}:exact:00", stored, 60)
    assert command is not None
    return command[2]


def test_an_answer_comes_back_as_it_was_stored() -> None:
    assert get_command("k") == ("GET", "k")
    command = put_command("k", STORED, 60)
    assert command is not None
    assert (command[:2], command[3:]) == (("SET", "k"), ("EX", 60))
    assert parse(command[2], now=2_000, max_age_s=None) == STORED


@pytest.mark.parametrize(("max_age_s", "found"), [(None, True), (10, True), (9, False), (0, False)])
def test_the_client_may_ask_for_a_younger_answer(max_age_s: int | None, found: bool) -> None:
    assert (parse(written(STORED), now=1_010.5, max_age_s=max_age_s) is not None) == found


def test_nothing_found_is_nothing() -> None:
    assert parse(None, now=0, max_age_s=None) is None


@given(
    raw=st.binary()
    | st.binary().map(lambda tail: b"1 " + tail)
    | st.sampled_from([b"1 []\n{}", b'1 {"a": 1}\n{}', b"0 {}\n"])
)
def test_a_value_of_another_format_is_nothing(raw: bytes) -> None:
    assert parse(raw, now=0, max_age_s=5) is None


def test_what_is_too_large_or_expires_at_once_is_not_stored() -> None:
    assert put_command("k", replace(STORED, answer=b"x" * LARGEST_VALUE), 60) is None
    assert put_command("k", STORED, 0) is None
