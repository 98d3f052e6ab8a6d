"""Exact match and containment: what counts as the same text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core.case import Case, Score
from evals.core.matching import contains, exact, plain


def _exact(answer: str, reference: str | None) -> float | None:
    return exact(Case((), answer, reference)).value


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("paris", "Paris"),
        ("  “Paris.”\n", "Paris"),
        ("**Paris**", "paris!"),
        ("New   York\ncity", "new york city"),
        ("ﬁne ①", "fine 1"),  # NFKC
        ("STRASSE", "straße"),
        ("the answer is .5", "The answer is .5."),
        ("'.5'", ".5"),
        ("...", "..."),
    ],
)
def test_case_space_and_punctuation_around_do_not_matter(answer: str, reference: str) -> None:
    assert _exact(answer, reference) == 1


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("C", "C#"),
        ("C", "C++"),
        ("5", "-5"),
        ("5", "5%"),
        ("5", ".5"),
        ("its", "it's"),
        ("", "x"),
        ("...", "x"),
        ("…5", ".5"),
    ],
)
def test_what_changes_the_meaning_does_matter(answer: str, reference: str) -> None:
    assert _exact(answer, reference) == 0


@given(st.text())
def test_a_text_equals_itself_in_any_case_and_form(text: str) -> None:
    assert plain(plain(text)) == plain(plain(plain(text)))
    assert _exact(f" {text}\n", text) == 1
    assert _exact(unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text)) == 1


def test_containment_is_of_whole_words() -> None:
    def value(answer: str, reference: str) -> float | None:
        return contains(Case((), answer, reference)).value

    assert value("I think it is a Cat, yes.", "cat") == 1
    assert value("The category is wrong.", "cat") == 0
    assert value("He paid $5 for it.", "$5") == 1
    assert value("He paid $50 for it.", "$5") == 0
    assert value("It's written in C#!", "C#") == 1


@given(st.text(), st.from_regex(r"\w+( \w+)*", fullmatch=True), st.text())
def test_what_is_said_among_other_words_is_contained(before: str, reference: str, after: str) -> None:
    assert contains(Case((), f"{before} {reference} {after}", reference)).value == 1


@pytest.mark.parametrize("scorer", [exact, contains])
def test_without_a_reference_there_is_nothing_to_say(scorer: object) -> None:
    assert callable(scorer)
    assert scorer(Case((), "x")) == Score(None, "The row has no reference.")


def test_a_score_is_from_0_to_1() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        Score(1.5, "")
