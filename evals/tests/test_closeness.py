"""Nearness of texts from vectors of their pieces."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evals.core.case import Case
from evals.core.closeness import MOST_PIECES, PIECE, closeness, pieces
from evals.similarity import similarity

angles = st.lists(st.floats(0, 6.28), min_size=1, max_size=5)


def _rows(turned: list[float]) -> np.ndarray:
    return np.array([[np.cos(angle), np.sin(angle)] for angle in turned], np.float32)


@given(angles, angles)
def test_it_is_from_0_to_1_and_the_same_both_ways(mine: list[float], other: list[float]) -> None:
    assert 0 <= closeness(_rows(mine), _rows(other)) <= 1
    assert abs(closeness(_rows(mine), _rows(other)) - closeness(_rows(other), _rows(mine))) < 1e-3
    assert closeness(_rows(mine), _rows(mine[::-1])) >= 0.999


def test_of_two_pieces_it_is_their_cosine() -> None:
    assert closeness(_rows([0.0]), _rows([np.pi / 3])) == 0.5
    assert closeness(_rows([0.0]), _rows([np.pi])) == 0


def test_a_part_that_is_missing_costs() -> None:
    assert closeness(_rows([0.0]), _rows([0.0, np.pi / 2])) == 0.75


@given(st.text(max_size=3000))
def test_every_text_has_pieces_of_bounded_length(text: str) -> None:
    cut = pieces(text)
    assert 1 <= len(cut) <= MOST_PIECES and all(len(piece) <= PIECE for piece in cut)


def test_a_text_is_near_to_its_paraphrase_and_far_from_another() -> None:
    def value(answer: str, **given: str) -> float:
        score = similarity(Case((), answer, **given))
        assert score.value is not None
        return score.value

    right = "You can reset the password in the settings, under Security."
    near = value("Open the settings and choose Security to set a new password.", reference=right)
    assert near > 0.6 > 0.3 > value("Bananas are rich in potassium.", reference=right)
    assert value(f" {right}\n", baseline=right) == 1
    assert value("Bananas.", reference="Bananas.", baseline=right) == 1  # the reference goes first


def test_without_a_text_to_compare_with_there_is_nothing_to_say() -> None:
    assert similarity(Case((), "x")).why == "Neither a reference nor a baseline's answer."
    assert similarity(Case((), "x", baseline="x"), "reference").why == "The row has no reference."
    assert similarity(Case((), "x", reference="x"), "baseline").why == "The baseline has no answer to this row."
