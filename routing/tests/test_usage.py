"""Numbers of usage that can be true, and those that cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.answers import usage_of
from routing.core.plan import Candidate
from routing.core.usage import Asked, Claim, Text, believed, choices_of, most, spend_of

COUNTS = st.integers(0, 10**6)
PRICED = Candidate("d", "p", "m", 8_000, price_in=150_000, price_out=600_000, neurons_in=4_000, neurons_out=20_000)
SAID = Text(tokens=10, chars=40, size=90, choices=1)


@given(COUNTS, COUNTS)
def test_what_is_held_covers_what_is_used(tokens_in: int, tokens_out: int) -> None:
    """As long as the prompt is no longer than estimated."""
    held, used = most(PRICED, tokens_in, tokens_out), spend_of(PRICED, tokens_in, tokens_out)
    for metric in ("tokens", "cost", "neurons"):
        assert held.of(metric) >= used.of(metric)


def test_neurons_and_cost_are_exact() -> None:
    spend = spend_of(PRICED, 1_000_000, 1)
    assert (spend.requests, spend.tokens, spend.cost, spend.neurons) == (0, 1_000_001, 150_001, 4_000_020_000 - 0)


@pytest.mark.parametrize(
    ("claim", "believable"),
    [
        (Claim(100, 10), True),
        (Claim(4, 10), True),
        (Claim(1_400, 10), True),
        (Claim(1_401, 10), False),
        (Claim(100, 0), True),
        (Claim(100, 96), True),
        (Claim(100, 97), False),
        (Claim(100, 106), False),
        (Claim(100, 96, hidden=80), True),
        (Claim(100, 97, hidden=80), False),
    ],
)
def test_a_claim_is_held_against_what_was_asked_and_came(claim: Claim, believable: bool) -> None:
    tokens_in, tokens_out, said = believed(claim, Asked(100, 64), SAID)
    assert (said == "") is believable
    if believable:
        assert (tokens_in, tokens_out) == (claim.tokens_in, claim.tokens_out)
    else:
        assert f"{claim.tokens_in:,}" in said or f"{claim.tokens_out:,}" in said


def test_far_too_little_is_not_believed_either() -> None:
    long = Text(tokens=2_500, chars=10_000, size=10_100, choices=1)
    assert believed(Claim(10, 40), Asked(5_000), long) == (
        5_000,
        2_500,
        "The provider said 10 tokens in; counted are 5,000 and 40 tokens out; counted are 2,500.",
    )


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_correction_always_names_both_numbers(tokens_in: int, tokens_out: int, asked: int, limit: int) -> None:
    found_in, found_out, said = believed(Claim(tokens_in, tokens_out), Asked(asked, limit), SAID)
    assert found_in in (tokens_in, asked) and found_out in (tokens_out, SAID.tokens)
    if (found_in, found_out) != (tokens_in, tokens_out):
        assert said.startswith("The provider said")


@pytest.mark.parametrize(
    ("usage", "source"),
    [
        (None, "estimated"),
        ("many", "estimated"),
        ({"prompt_tokens": 0, "completion_tokens": 0}, "estimated"),
        ({"prompt_tokens": True, "completion_tokens": 2}, "estimated"),
        ({"prompt_tokens": -1, "completion_tokens": 2}, "estimated"),
        ({"prompt_tokens": 5, "completion_tokens": 2}, "provider"),
        ({"prompt_tokens": 5, "completion_tokens": 200_000}, "corrected"),
        (
            {"prompt_tokens": 5, "completion_tokens": 60, "completion_tokens_details": {"reasoning_tokens": 55}},
            "provider",
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 60, "completion_tokens_details": {"reasoning_tokens": "x"}},
            "provider",
        ),
    ],
)
def test_every_answer_has_a_usage_and_says_whose(usage: object, source: str) -> None:
    answer = {"choices": [{"message": {"role": "assistant", "content": "hello there"}}], "usage": usage}
    found = usage_of(answer, Asked(6, 64))
    assert found.source == source
    assert 0 < found.tokens_in <= 6 and 0 < found.tokens_out <= 80


def test_each_choice_is_asked_for_as_much() -> None:
    assert [choices_of({}), choices_of({"n": None}), choices_of({"n": 3})] == [1, 1, 3]
