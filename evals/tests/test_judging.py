"""What a judge is asked, how its reply is read, and how far it can be trusted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core.agreement import kappa, known_verdict, swap_agreement, wilson
from evals.core.case import Case
from evals.core.judging import (
    Verdict,
    ask_to_compare,
    ask_to_grade,
    read_grade,
    read_verdict,
    score_of_grade,
    score_of_pair,
    unreadable,
)

BETTER, SAME, WORSE = Verdict.BETTER, Verdict.SAME, Verdict.WORSE
ASKED = ({"role": "user", "content": "What is 2 + 2?"},)
verdicts = st.sampled_from(Verdict)


@given(st.text(), st.text(), st.text())
def test_no_text_can_end_its_own_frame(answer: str, other: str, reference: str) -> None:
    [system, user] = ask_to_compare(Case(ASKED, answer, reference), other, candidate_first=True)
    mark = user["content"].split("\n")[1]
    assert mark in system["content"]
    assert not any(mark in text for text in (answer, other, reference))
    assert f"ANSWER A\n{mark}\n{answer}\n{mark}\n\nANSWER B\n{mark}\n{other}\n{mark}" in user["content"]


def test_the_answers_change_places() -> None:
    [_, user] = ask_to_compare(Case(ASKED, "four"), "five", candidate_first=False)
    assert user["content"].index("five") < user["content"].index("four")


def test_it_sees_the_reference_once() -> None:
    case = Case(ASKED, "four", "It is four.")
    assert "KNOWN TO BE RIGHT" in ask_to_compare(case, "five", candidate_first=True)[1]["content"]
    assert "KNOWN TO BE RIGHT" not in ask_to_compare(case, "It is four.", candidate_first=True)[1]["content"]
    assert "It is four." in ask_to_grade(case)[1]["content"]
    assert "KNOWN TO BE RIGHT" not in ask_to_grade(Case(ASKED, "four"))[1]["content"]


def test_it_is_told_what_matters() -> None:
    [system, _] = ask_to_grade(Case(ASKED, "four"), "  politeness {mark} ")
    assert "above all: politeness {mark} Your" in system["content"]


def test_of_pictures_it_is_told_that_they_are_there() -> None:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {}}, {}, "odd"]
    messages = ({"role": "user", "content": parts}, {"role": "assistant", "content": None}, {"content": "so?"})
    assert (
        "user: What is this? [image_url] [part] [part]\nassistant: \n: so?"
        in ask_to_grade(Case(messages, "x"))[1]["content"]
    )


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("VERDICT: A", BETTER),
        ("B is longer, but A is right.\n\n**VERDICT: A**\n", BETTER),
        ("verdict: b", WORSE),
        ("[[B]]", WORSE),
        ("tie.", SAME),
        ("VERDICT: A or B", None),
        ("VERDICT: A\nThough B is nice, too.", None),
        ("I cannot say.", None),
        ("A verdict: none", None),
        ("", None),
    ],
)
def test_only_a_last_line_that_is_a_verdict_is_read(reply: str, verdict: Verdict | None) -> None:
    assert read_verdict(reply, candidate_first=True) == verdict
    swapped = {BETTER: WORSE, WORSE: BETTER}
    assert read_verdict(reply, candidate_first=False) == (swapped.get(verdict, verdict) if verdict else None)


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("GRADE: 4", 4),
        ("Good.\nGrade: **5**", 5),
        ("3/5", 3),
        ("GRADE: 6", None),
        ("GRADE: 45", None),
        ("4 or 5", None),
    ],
)
def test_only_a_last_line_that_is_a_grade_is_read(reply: str, grade: int | None) -> None:
    assert read_grade(reply) == grade


@given(st.text(), st.booleans())
def test_any_reply_is_read_or_not(reply: str, first: bool) -> None:
    assert read_verdict(reply, candidate_first=first) in (*Verdict, None)
    assert read_grade(reply) in (1, 2, 3, 4, 5, None)
    assert unreadable(reply).value is None and len(unreadable(reply).why) < 2000


@given(verdicts, verdicts)
def test_only_a_verdict_that_stays_when_places_change_is_a_win_or_a_loss(first: Verdict, swapped: Verdict) -> None:
    score = score_of_pair(first, swapped, "the reference")
    assert (score.value == 0.5) == (first != swapped or first == SAME)
    if first == swapped:
        assert score.value == {BETTER: 1, SAME: 0.5, WORSE: 0}[first]


def test_grades_are_spread_over_the_scale() -> None:
    assert [score_of_grade(grade).value for grade in (1, 2, 3, 4, 5)] == [0, 0.25, 0.5, 0.75, 1]


@given(st.lists(st.tuples(verdicts, verdicts), min_size=1))
def test_agreement_lies_within_its_interval(pairs: list[tuple[Verdict, Verdict]]) -> None:
    found = swap_agreement(pairs)
    assert found is not None and 0 <= found.low <= found.share <= found.high <= 1
    assert found.of == len(pairs)


def test_wilson_as_published() -> None:
    """Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3."""
    assert [round(end, 4) for end in wilson(81, 263)] == [0.2553, 0.3662]
    assert [round(end, 4) for end in wilson(0, 20)] == [0, 0.1611]


def test_kappa_as_by_hand() -> None:
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed .7, by chance .5, so .4."""
    judged = [(BETTER, BETTER)] * 20 + [(BETTER, WORSE)] * 5 + [(WORSE, BETTER)] * 10 + [(WORSE, WORSE)] * 15
    assert kappa(judged) == pytest.approx(0.4)


@given(st.lists(st.tuples(verdicts, verdicts)))
def test_kappa_is_1_for_perfect_agreement_only(judged: list[tuple[Verdict, Verdict]]) -> None:
    found = kappa(judged)
    if found is not None:
        assert -1 <= found <= 1
        assert (found == 1) == all(verdict == right for verdict, right in judged)


def test_nothing_agrees_with_nothing() -> None:
    assert swap_agreement([]) is None
    assert kappa([]) is None
    assert kappa([(SAME, SAME)] * 5) is None


@given(st.floats(0, 1), st.floats(0, 1))
def test_what_is_known_of_two_answers(mine: float, other: float) -> None:
    expected = SAME if mine == other else BETTER if mine > other else WORSE
    assert known_verdict(mine, other) == expected
