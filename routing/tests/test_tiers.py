"""The tier classifier: what is learned, what is said of a prompt, what ships."""

from dataclasses import replace
from itertools import cycle, islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx

from routing.core.questions import Measures, measure, read_question
from routing.core.tier_training import train
from routing.core.tiers import TierModel, estimate, foreign_reason, strong_gain
from routing.tiers import READ, shipped_model, tier_of

MODEST = settings(max_examples=50, deadline=None)
PLAIN = "Which of these is the capital of France?\nA. Paris\nB. Lyon\nC. Nice\nD. Lille\nAnswer:"
SUMS = "What is the sum of 17 and the half of {}?\nA. 12\nB. 21\nC. 31\nD. 7\nAnswer:"

lengths = st.floats(0, 3_000)
shares = st.floats(0, 1)
flags = st.sampled_from([0.0, 1.0])
measures = st.builds(
    Measures, st.integers(0, 10), lengths, lengths, shares, shares, shares, shares, lengths, *[flags] * 5
)
labelled = st.lists(st.tuples(measures, st.booleans(), st.booleans()), min_size=1, max_size=30)


def learned(rows: list[tuple[Measures, bool, bool]]) -> TierModel:
    each, weak, strong = zip(*rows, strict=True)
    return train(each, np.array(weak), np.array(strong))


@MODEST
@given(labelled, measures)
def test_whatever_is_learned_the_estimate_is_a_probability_with_a_reason(
    rows: list[tuple[Measures, bool, bool]], prompt: Measures
) -> None:
    model = learned(rows)
    found = estimate(model, prompt)
    assert 0 <= found.weak_good_enough <= 1 and -1 <= found.strong_gain <= 1 and found.why
    assert found.strong_gain == strong_gain(model, prompt)
    assert found.foreign == bool(foreign_reason(model, prompt))


@MODEST
@given(labelled)
def test_the_order_of_the_rows_does_not_matter(rows: list[tuple[Measures, bool, bool]]) -> None:
    prompt = rows[0][0]
    assert strong_gain(learned(rows), prompt) == approx(strong_gain(learned(rows[::-1]), prompt), abs=1e-6)


@MODEST
@given(labelled)
def test_where_both_tiers_do_the_same_the_strong_one_adds_nothing(rows: list[tuple[Measures, bool, bool]]) -> None:
    model = learned([(each, weak, weak) for each, weak, _ in rows])
    for each, _, _ in rows:
        assert strong_gain(model, each) == approx(0)
        assert estimate(model, each).weak_good_enough == approx(1)


def test_it_learns_which_prompts_need_the_strong_tier() -> None:
    """Capitals both know; sums only the strong one."""
    capital = measure(read_question(PLAIN))
    sums = [measure(read_question(SUMS.format(number))) for number in range(10, 100)]
    rows = list(islice(cycle([(capital, True, True), *((each, False, True) for each in sums)]), 4_000))
    model = replace(learned(rows), lines=tuple(replace(line, low=0, high=1e9) for line in learned(rows).lines))
    assert estimate(model, sums[0]).weak_good_enough < 0.2
    assert estimate(model, capital).weak_good_enough > 0.8
    assert "numeric answers +" in estimate(model, sums[0]).why


def test_a_foreign_prompt_gets_the_average_and_is_told_apart() -> None:
    model = shipped_model()
    for prompt in (
        "How many eggs does Janet sell?",
        "",
        PLAIN.replace("Paris", "x" * 3_000),
        "?\nA. 你\nB. 好\nC. 吗\nD. 呢",
    ):
        found = tier_of(prompt)
        assert found.foreign and found.why.startswith("unlike what was learned: ")
        assert (found.weak_good_enough, found.strong_gain) == (1 - model.better, model.better - model.worse)
    assert "answers 0, known 4 to 4" in tier_of("How many eggs does Janet sell?").why


def test_a_known_prompt_is_judged_with_its_reasons() -> None:
    found = tier_of(PLAIN)
    assert not found.foreign
    assert found.why.startswith("the strong tier adds +")


@MODEST
@given(st.text("ab1?", min_size=1, max_size=50))
def test_a_prompt_longer_than_what_is_read_is_foreign_whatever_follows(piece: str) -> None:
    assert tier_of(PLAIN + piece * (READ // len(piece))).foreign
    assert tier_of("x" * READ + PLAIN).foreign


def test_a_model_fits_the_measures() -> None:
    with pytest.raises(ValueError, match="1 lines for 13 measures"):
        replace(shipped_model(), lines=shipped_model().lines[:1])
