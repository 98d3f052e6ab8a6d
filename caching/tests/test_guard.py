from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caching.core.guard import differs
from caching.core.quantities import quantities
from caching.core.reading import read
from caching.core.words import words

GATEWAY = "Explain what an API gateway does in 2 lines."


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        (GATEWAY, "In two lines, what does an API gateway do?"),
        ("What's your name?", "What is your name?"),
        ("I can't log in", "I cannot log in"),
        ("Name a thousand rivers", "Name 1,000 rivers"),
        ("In the 1st week of March 2024", "in the first week of march 2024"),
        ("It costs $5", "It costs five dollars"),
        ("The 5 km run", "The 5 kilometres run"),
        ("What happened on 2024-01-05?", "What happened on January 5, 2024?"),
        ("How does one make tea?", "How do I make tea?"),
        ("Wait a second, why?", "Wait a moment, why?"),
        ("How do pakistanis drink tea?", "How do Pakistanis drink tea?"),
        ("May I have tea?", "Can I have tea?"),
        ("Please Tell me about tea", "please tell Me about tea"),
        ("What Is The Best Tea In Town?", "What is the best tea in town?"),
        ("How much is £3 of tea?", "How much is 3 pounds of tea?".replace("3 pounds", "3 quid")),
        ("Is this café open?", "Is this cafe open?"),
        ("How do I make green tea in Rome?", "In Rome, how do I make green tea?"),
        ("tea and/or coffee", "tea and or coffee"),
        ("What does `ls` do?", "what does 'ls' do?"),
        ("Why am I unable to pay?", "Why am I not able to pay?"),
    ],
)
def test_another_wording_passes(stored: str, asked: str) -> None:
    assert differs(stored, asked) is None
    assert differs(asked, stored) is None


@pytest.mark.parametrize(
    ("stored", "asked", "reason"),
    [
        (GATEWAY, GATEWAY.replace("2", "20"), "the numbers differ: “2 line” against “20 line”"),
        ("a 5 km run", "a 5 mile run", "the numbers differ: “5 km” against “5 mile”"),
        ("add 3.5% salt", "add 3.5 g salt", "the numbers differ: “3.5 %” against “3.5 g”"),
        ("It costs 1.000 euros", "It costs 1 euro", "the numbers differ: “1.000 €” against “1 €”"),
        ("at 10:30 am", "at 10:30 pm", "the numbers differ: “10:30 am” against “10:30 pm”"),
        ("the first chapter", "the second chapter", "the numbers differ: “1 st” against “2 st”"),
        ("born in May", "born in June", "the numbers differ: “5 month of the year” against “6 month of the year”"),
        ("in one line", "in lines", "the numbers differ: “1 line” against none"),
        ("python 3.11.2", "python 3.11.3", "the numbers differ: “3.11.2” against “3.11.3”"),
        ("10k users", "10 users", "the numbers differ: “10000” against “10”"),
        ("Who wrote Hamlet?", "Who wrote Macbeth?", "only one of them names “hamlet”, “macbeth”"),
        ("sort in C++", "sort in C", "only one of them names “c++”, “c”"),
        ("what does os.path do", "what does os.environ do", "only one of them names “os.path”, “os.environ”"),
        ("does tea help", "does tea not help", "a negation is in one only: none against “not”"),
        ("why does it start", "why doesn't it start", "a negation is in one only: none against “doesn't”"),
        ("enable the alarm", "disable the alarm", "“enable” is not “disable”"),
        ("what is my name", "what is your name", "“my” is not “your”"),
        ("tea before lunch", "tea after lunch", "“before” is not “after”"),
        ("subscribe to tea", "unsubscribe from tea", "“subscribe” is not “unsubscribe”"),
        ("tea is disadvantageous", "tea is advantageous", "“advantageous” is not “disadvantageous”"),
        ("define 'tea'", "define 'coffee'", "only one of them quotes “tea”"),
        ("is 'a' in 'b'", "is 'b' in 'a'", "the quotations differ"),
        ("what is 2+3", "what is 2*3", "the signs differ: “+” against “*”"),
        ("北京天气", "上海天气", "the signs differ: “北京天气” against “上海天气”"),
        ("tea 🙂", "tea 🙁", "the signs differ: “🙂” against “🙁”"),
        ("when did tea begin", "where did tea begin", "“when” is another question than “where”"),
        ("convert km to miles", "convert miles to km", "“km” stands on the other side"),
        ("a flight from Oslo to Rome", "a flight to Oslo from Rome", "“oslo” stands on the other side"),
        ("does a dog bite a man", "does a man bite a dog", "the same words in another order"),
    ],
)
def test_a_difference_that_changes_the_answer_is_named(stored: str, asked: str, reason: str) -> None:
    said = differs(stored, asked)
    assert said == reason
    assert differs(asked, stored)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("two hundred and five", "205"),
        ("one hundred and one", "101"),
        ("a dozen eggs", "12"),
        ("three thousand and a half", "3000"),
        ("twenty-one days", "21 day"),
        ("two and three", "2 3"),
        ("nineteen eighty four", "19 84"),
        ("two million three hundred thousand", "2300000"),
        ("5 million", "5000000"),
        ("-5 degrees", "-5"),
        ("chapters 4-7", "4 7"),
        ("1/2 of .5", "1/2 0.5"),
        ("a cat, hundred reasons", ""),
        ("no one knows which one", ""),
        ("every second", ""),
        ("I march in Paris; march 3", "month3 3"),
        ("thirty ", "30"),
        ("the end: a", ""),
        ("12", "12"),
        ("2-line", "2 line"),
        ("five-", "5"),
    ],
)
def test_numbers_are_read_however_written(text: str, found: str) -> None:
    read_ = [
        str(quantity).replace("3 month of the year", "month3") for quantity in quantities(read(text).tokens).elements()
    ]
    assert " ".join(read_) == found


@given(value=st.integers(0, 999_999))
def test_a_spelled_number_is_the_number(value: int) -> None:
    asked = f"List {spelled(value)} kinds of tea" if value != 1 else "List 1 kinds of tea"
    assert differs(f"List {value} kinds of tea", asked) is None
    assert differs(f"List {value:,} kinds of tea", asked) is None


@given(one=st.integers(0, 10**12), other=st.integers(0, 10**12), unit=st.sampled_from(["lines", "km", "things", "%"]))
def test_different_numbers_never_pass(one: int, other: int, unit: str) -> None:
    assert (differs(f"Give me {one} {unit}", f"give me {other} {unit}") is None) == (one == other)


@given(
    value=st.fractions(min_value=0, max_value=1000, max_denominator=8).filter(lambda value: 8 % value.denominator == 0)
)
def test_decimals_are_exact(value: Fraction) -> None:
    text = f"{float(value):.4f}"
    assert [quantity.value for quantity in quantities(read(text).tokens)] == [value]


@given(text=st.text(max_size=60))
def test_a_text_never_differs_from_itself(text: str) -> None:
    assert differs(text, text) is None
    assert differs(text, f"  {text} ") is None


PIECES = words("the not 2 two 1/2 first % a hundred and from to Paris x + 'tea' why when my your - may . C++ é")
WORDS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=9).map(" ".join)


@given(one=WORDS, other=WORDS)
def test_any_two_texts_get_an_answer_and_the_same_both_ways(one: str, other: str) -> None:
    reason = differs(one, other)
    assert (reason is None) == (differs(other, one) is None)
    assert reason != ""


SMALL = words(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
    """
)
TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")


def spelled(value: int) -> str:
    if value < 20:
        return SMALL[value]
    if value < 100:
        return TENS[value // 10 - 2] + (f"-{SMALL[value % 10]}" if value % 10 else "")
    size, word = (100, "hundred") if value < 1_000 else (1_000, "thousand")
    rest = f" and {spelled(value % size)}" if value % size else ""
    return f"{spelled(value // size)} {word}{rest}"
