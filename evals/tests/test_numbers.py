"""The number at the end of an answer, however it is written."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core.case import Case
from evals.core.numbers import last_number, numeric


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("#### 42", 42),
        ("first 7\n#### 1,234 eggs\nthat took 3 steps", 1234),
        ("#### none, or 7", 7),
        ("####\nso 9", 9),
        (r"so \[\boxed{70{,}000}\] in 3 steps", 70_000),
        (r"\boxed{\frac{3}{4}}", Fraction(3, 4)),
        ("$1,234.50", Fraction("1234.5")),
        ("1'234’567", 1_234_567),
        ("1\u202f234", 1234),
        ("1.234,56 €", Fraction("1234.56")),
        ("1.000.000", 1_000_000),
        ("1,5", Fraction(3, 2)),
        ("0,125", Fraction(1, 8)),
        ("it is .5", Fraction(1, 2)),
        ("1½ cups", Fraction(3, 2)),
        ("1 1/2 cups", Fraction(3, 2)),
        ("3/4", Fraction(3, 4)),
        ("-5", -5),
        ("−5", -5),
        ("$-5", -5),
        ("-$5", -5),
        ("16-3", 3),
        ("x = -3.", -3),
        ("f(2)-3", 3),
        ("2 x 10^3", 2000),
        (r"2 \times 10^{3}", 2000),
        ("1.5e3", 1500),
        ("2e-3", Fraction(2, 1000)),
        ("1.5 million", 1_500_000),
        ("$70k", 70_000),
        ("70km", 70),
        ("**18**.", 18),
        ("__18__", 18),
        ("1,2,3", 3),
        ("3 or 5/0", 3),
        ("٣", 3),
    ],
)
def test_it_is_read(text: str, value: Fraction) -> None:
    found = last_number(text)
    assert found is not None and found.value == value


@pytest.mark.parametrize("text", ["", "none", "H2O", "eighteen", "9" * 100, "5/0"])
def test_there_is_none(text: str) -> None:
    assert last_number(text) is None


whole = st.integers(-(10**12), 10**12)


@given(whole)
def test_a_whole_number_is_the_same_however_it_is_written(number: int) -> None:
    ways = (f"It is {number}.", f"{number:,} eggs", f"${number:,}.00", f"#### {number}\nbye 1", f"\\boxed{{{number}}}")
    for way in ways:
        assert _score(way, str(number)) == 1, way
        assert _score(way, str(number + 1)) == 0, way


@given(st.fractions(-1000, 1000, max_denominator=999))
def test_a_fraction_is_itself(number: Fraction) -> None:
    found = last_number(f"so {number.numerator}/{number.denominator}")
    assert found is not None and found.value == number


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert numeric(Case((), text, text)).value in (None, 1.0)


@pytest.mark.parametrize(
    ("answer", "reference", "tolerance", "value"),
    [
        ("99", "100", 0.01, 1),
        ("98.9", "100", 0.01, 0),
        ("-101", "-100", 0.01, 1),
        ("0.01", "0", 0.01, 1),
        ("0.02", "0", 0.01, 0),
        ("50%", "0.5", 0.0, 1),
        ("50 per cent", "50", 0.0, 1),
        ("0.5", "50 %", 0.0, 1),
        ("5%", "50 %", 0.0, 0),
        ("no idea", "3", 0.0, 0),
    ],
)
def test_how_near_it_must_be(answer: str, reference: str, tolerance: float, value: float) -> None:
    assert _score(answer, reference, tolerance) == value


def test_the_remark_names_both_numbers() -> None:
    assert numeric(Case((), "It is 1/3 or 50%", "20")).why == "50 %, where 20 is right."
    assert numeric(Case((), "0.25", "1/4")).why == "0.25, as it should be."


def test_without_a_number_in_the_reference_there_is_nothing_to_say() -> None:
    assert numeric(Case((), "3")).why == "The row has no reference."
    assert numeric(Case((), "3", "three")).why == "The reference has no number."


@pytest.mark.parametrize(
    ("part", "value"),
    [("1,", None), ("-", None), ("1/", 1), ("1 ", 1), ("\\boxed{", None), ("1x10^", 10), ("½", Fraction(1, 2))],
)
def test_nobody_can_make_it_slow(part: str, value: Fraction | None) -> None:
    """What grows with the square of the length would not end within the time that a test has."""
    found = last_number(part * 20_000)
    assert (found and found.value) == value


def _score(answer: str, reference: str, tolerance: float = 0.0) -> float | None:
    return numeric(Case((), answer, reference), tolerance).value
