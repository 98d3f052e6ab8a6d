from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx

from routing.core.questions import LETTERS, Measures, Question, measure, read_question

MODEST = settings(max_examples=50, deadline=None)

answers = (
    st.text("abc XYZ 0123,.é", min_size=1, max_size=30).map(str.strip).filter(lambda text: text[:2] not in LETTERS)
)


def asked(*given: str, stem: str = "Which?") -> Measures:
    return measure(Question(stem, given))


@MODEST
@given(st.lists(answers, max_size=len(LETTERS)), st.sampled_from(["{}. ", "{}) ", "({}) ", "{}.\n"]), st.booleans())
def test_answers_are_read_however_they_are_marked(given: list[str], mark: str, cued: bool) -> None:
    lines = ["What is it?", *(mark.format(letter) + answer for letter, answer in zip(LETTERS, given, strict=False))]
    assert read_question("\n".join([*lines, "Answer:"] if cued and given else lines)) == Question(
        "What is it?", tuple(given)
    )


@MODEST
@given(st.text())
def test_every_text_can_be_read_and_measured(text: str) -> None:
    measures = measure(read_question(text))
    assert all(value >= 0 for value in measures)
    assert all(value <= 1 for value in (measures.common_words, measures.numeric_answers, measures.answer_variety))


def test_a_prompt_without_answers_is_all_question() -> None:
    assert read_question(" How many eggs? \n") == Question("How many eggs?", ())
    assert read_question("B. only the second").answers == ()


def test_the_last_run_counts_and_an_answer_may_have_lines() -> None:
    few_shot = (
        "Old?\nA. no\nB. yes\nAnswer: B\nNew?\nA. first\nof two lines\nI. is no answer here\nB. second\nD. skipped"
    )
    assert read_question(few_shot).answers == ("first\nof two lines\nI. is no answer here", "second\nD. skipped")


def test_lengths_and_their_spread() -> None:
    measures = asked("two", "eleven", stem="12345")
    assert (measures.answers, measures.stem_length, measures.answer_length) == (2, 5, 4.5)
    assert measures.uneven_answers == approx(1.5 / 5.5)
    assert measures.answer_word_length == 4.5


def test_numbers_count_as_such_with_a_unit_but_not_in_a_sentence() -> None:
    assert asked("12", "3 apples", "x^2", "in 4 of the cases").numeric_answers == 0.75


def test_answers_that_repeat_each_other_have_little_variety() -> None:
    assert asked("True, True", "False, False", "True, False", "False, True").answer_variety == 0.25
    assert asked("red", "green").answer_variety == 1


def test_plain_words_are_counted_over_question_and_answers() -> None:
    assert asked("the cat", stem="Who is Schrödinger?").common_words == approx(3 / 5)


def test_flags_say_what_kind_of_question_it_is() -> None:
    plain = asked("red", stem="Name a colour")
    assert not any((plain.answers_together, plain.equation, plain.first_person, plain.exception, plain.superlative))
    assert asked("red", "All of the above").answers_together
    assert asked(stem="Solve x = 2").equation
    assert asked(stem="What should I do?").first_person
    assert asked(stem="Which is NOT a colour?").exception
    assert asked(stem="What is the most likely colour?").superlative
