from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.split import arm_of, draw_of, problem_with, split_of, sticks_to, within_chance

SHARES = st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(any)
DRAWS = st.floats(0, 1, exclude_max=True)
SEVENTY_THIRTY = {"small": 70, "large": 30}


@given(st.text())
def test_a_text_always_draws_the_same_number_below_one(text: str) -> None:
    assert 0 <= draw_of(text) < 1
    assert draw_of(text) == draw_of(text)


@given(SHARES, DRAWS)
def test_nobody_is_put_on_an_arm_without_a_share(shares: list[int], draw: float) -> None:
    assert shares[arm_of(shares, draw)] > 0


@given(SHARES, DRAWS, DRAWS)
def test_arms_keep_their_order_on_the_line(shares: list[int], one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert arm_of(shares, low) <= arm_of(shares, high)


@given(st.integers(0, 100), st.integers(0, 100), DRAWS)
def test_who_is_on_a_first_arm_stays_there_when_it_grows(one: int, other: int, draw: float) -> None:
    less, more = sorted((one, other))
    if arm_of([less, 100 - less], draw) == 0 and less:
        assert arm_of([more, 100 - more], draw) == 0


def test_the_very_end_of_the_line_is_the_last_arm_with_a_share() -> None:
    assert arm_of([70, 30, 0], 1.0) == 1


def _on_the_small_arm(seed: int) -> int:
    """Of 2,000 requests."""
    requests = (split_of(SEVENTY_THIRTY, "request", identity=f"{seed}/{n}", salt="acme/ab-test") for n in range(2000))
    return sum(split.arm == "small" for split in requests)


def test_two_thousand_requests_fall_as_the_shares_say() -> None:
    """1,400 +- 53 is the 99 % interval of 70 % of 2,000, so that one run in a hundred falls outside."""
    assert abs(_on_the_small_arm(0) - 1400) <= 53
    assert sum(abs(_on_the_small_arm(seed) - 1400) > 53 for seed in range(100)) <= 4


def test_the_splits_of_two_routes_do_not_agree() -> None:
    """Else half the keys would be on the first arm of everything."""
    halves = {"a": 50, "b": 50}
    both = [
        tuple(split_of(halves, "key", identity=str(key), salt=salt).arm for salt in ("t/one", "t/other"))
        for key in range(400)
    ]
    assert all(60 <= both.count(pair) <= 140 for pair in (("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")))


def test_a_split_says_what_it_did() -> None:
    split = split_of(SEVENTY_THIRTY, "key", identity="k1", salt="acme/ab-test")
    assert split.why == f"Split 70/30, by key: a draw of {split.draw:.3f} is the arm {split.arm}."


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([], None),
        ([None, None], None),
        ([70, 30], None),
        ([100, 0], None),
        ([70, None], "every candidate"),
        ([70, 20], "sum to 100; these sum to 90"),
        ([200, -100], "sum to 100"),
    ],
)
def test_shares_are_all_or_none_and_sum_to_100(shares: list[int | None], said: str | None) -> None:
    problem = problem_with(shares)
    assert problem is None if said is None else said in (problem or "")


HELLO = {"role": "user", "content": "hello"}
RULES = {"role": "system", "content": "be brief"}


@pytest.mark.parametrize(
    ("sticky", "body", "user", "expected"),
    [
        ("none", {"user": "ann"}, "", ("request", "t1")),
        ("key", {}, "", ("key", "k1")),
        ("user", {"user": "ann"}, "ben", ("user", "ann")),
        ("user", {"user": 5}, "ben", ("user", "ben")),
        ("user", {}, "", ("request", "t1")),
        ("conversation", {"messages": [RULES, HELLO]}, "", ("conversation", "be brief\nhello")),
        (
            "conversation",
            {"messages": [{**RULES, "role": "developer"}, HELLO]},
            "",
            ("conversation", "be brief\nhello"),
        ),
        ("conversation", {"messages": [RULES]}, "", ("request", "t1")),
        ("conversation", {"input": "a text to embed"}, "", ("request", "t1")),
    ],
)
def test_what_stays_on_its_side(sticky: str, body: dict[str, Any], user: str, expected: tuple[str, str]) -> None:
    assert sticks_to(sticky, body, key="k1", user=user, request="t1") == expected


def test_a_conversation_is_the_same_one_a_turn_later() -> None:
    later = [RULES, HELLO, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "and now?"}]
    first, second = (
        sticks_to("conversation", {"messages": turn}, key="k", user="", request="t") for turn in (later[:2], later)
    )
    assert first == second


@pytest.mark.parametrize(
    ("counts", "shares", "verdict"),
    [
        ({"small": 1396, "large": 604}, SEVENTY_THIRTY, True),
        ({"small": 1454, "large": 546}, SEVENTY_THIRTY, False),
        ({"small": 3, "large": 1}, SEVENTY_THIRTY, None),
        ({}, SEVENTY_THIRTY, None),
        ({"small": 9}, {"small": 100, "large": 0}, True),
        ({"small": 9, "large": 1}, {"small": 100, "large": 0}, False),
    ],
)
def test_what_chance_explains(counts: dict[str, int], shares: dict[str, int], verdict: bool | None) -> None:
    assert within_chance(counts, shares) is verdict
