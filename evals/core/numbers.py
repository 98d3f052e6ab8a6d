r"""The number that an answer ends with, beside the reference's.

Read are signs, thousands (1,234 · 1'234 · 1 234 with a no-break space · 1.234.567 · 1.234,5), decimals (1.5 · 1,5 ·
.5), fractions (3/4 · 1 1/2 · ½ · \frac{3}{4}), powers of ten (1.5e3 · 2 x 10^3), scales (2 million · 70k) and per cent.
Not read are numbers in words ("eighteen") and units: 5 m is 5 km here. 1,234 is always more than a thousand, as in
English.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from evals.core.case import NO_REFERENCE, Case, Score

_NUMBER = re.compile(
    r"""
    (?<![^\W_])                                        # "H2O" and "x2" hold no number
    (?P<sign>(?<![)\]}%])-(?:[$€£¥]\s?)?)?             # -5, -$5, $-5; the 3 of 16-3 is 3
    (?:(?P<whole>\d{1,9})[ ](?=\d{1,9}/\d))?
    (?P<digits>\.?\d[\d.,']*)
    (?:\s?/\s?(?P<under>\d{1,9})(?![\d/]))?
    (?:e(?P<power>[+-]?\d{1,2})(?!\w)|\s?(?:[x*]|\\times|\\cdot)\s?10\s?(?:\^|\*\*)\{?(?P<ten>-?\d{1,2})(?!\d)\}?)?
    (?:[ -]?(?P<scale>hundred|thousand|million|billion|trillion|(?<=\d)k)(?!\w))?
    (?P<percent>\s?%|\s?(?:percent|per[ ]cent)(?!\w))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MARKED = re.compile(r"####(?P<line>.*)|\\boxed\{(?P<box>(?:[^{}]|\{[^{}]*\})*)\}")  # GSM8K's, and LaTeX's
_THOUSANDS = re.compile(r"(?!0)\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:'\d{3})+(?:\.\d+)?")
_CONTINENTAL = re.compile(r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}|\d+,(?:\d{1,2}|\d{4,})|0,\d+")
_PLAIN = re.compile(r"\d*\.?\d+")
_SCALES = {"hundred": 10**2, "thousand": 10**3, "k": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_MOST_DIGITS = 60
_DASHES_AND_QUOTES = str.maketrans({"\u2212": "-", "\u2013": "-", "\u2010": "-", "’": "'", "×": "x", "⁄": "/"})
_NO_BREAK = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_FRACTION = re.compile(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}")


@dataclass(frozen=True, slots=True)
class Number:
    value: Fraction
    percent: bool = False

    def __str__(self) -> str:
        whole = self.value.denominator == 1
        return (str(self.value) if whole else f"{float(self.value):.6g}") + (" %" if self.percent else "")


def numeric(case: Case, tolerance: float = 0.0) -> Score:
    """``tolerance``: the share of the reference's number by which the answer's may differ; where that is 0, by itself.

    Measured on 660 references of GSM8K: each equals itself, the worked solution that ends with it and five other ways
    to write it (``tests/test_scorers_measured.py``), and none equals the next whole number.
    """
    wanted = last_number(case.reference or "")
    if wanted is None:
        return Score(None, "The reference has no number." if case.reference else NO_REFERENCE)
    said = last_number(case.answer)
    if said is None:
        return Score(0.0, f"No number, where {wanted} is right.")
    right = _close(said, wanted, Fraction(str(tolerance)))
    return Score(float(right), f"{said}, as it should be." if right else f"{said}, where {wanted} is right.")


def last_number(text: str) -> Number | None:
    """What follows the last "####" or stands in the last \\boxed{} counts as the end of the text."""
    tidy = _tidy(text)
    marked = [match["line"] or match["box"] or "" for match in _MARKED.finditer(tidy)]
    if marked and (found := next(_numbers(marked[-1]), None)) is not None:
        return found
    numbers = list(_numbers(tidy))
    return numbers[-1] if numbers else None


def _close(said: Number, wanted: Number, tolerance: Fraction) -> bool:
    """50 % is 0.5 and, as a bare number, 50."""
    values = {said.value}
    if said.percent != wanted.percent:
        values.add(said.value / 100 if said.percent else said.value * 100)
    room = tolerance * (abs(wanted.value) or 1)
    return any(abs(value - wanted.value) <= room for value in values)


def _tidy(text: str) -> str:
    """One spelling for what has several. "1½" becomes 1 1/2 before NFKC would make it 11/2."""
    spaced = "".join(f" {letter}" if "<fraction>" in unicodedata.decomposition(letter) else letter for letter in text)
    plain = unicodedata.normalize("NFKC", _NO_BREAK.sub("", spaced)).translate(_DASHES_AND_QUOTES)
    for written, meant in (("{,}", ","), ("\\,", ","), ("\\!", ""), ("\\%", "%"), ("\\$", "$")):
        plain = plain.replace(written, meant)
    return _FRACTION.sub(r" \1/\2", plain)


def _numbers(tidy: str) -> Iterator[Number]:
    for match in _NUMBER.finditer(tidy):
        value = _digits(match["digits"].rstrip(".,'"))
        under = int(match["under"] or 1)
        if value is None or not under:
            continue
        value = (int(match["whole"] or 0) + value / under) * Fraction(10) ** int(match["power"] or match["ten"] or 0)
        value *= _SCALES[match["scale"].lower()] if match["scale"] else 1
        yield Number(-value if match["sign"] else value, match["percent"] is not None)


def _digits(written: str) -> Fraction | None:
    """None: that is no number (too long, or dots as in a version). Of a list without spaces (1,2,3) the last one."""
    if len(written) > _MOST_DIGITS:
        return None
    if _THOUSANDS.fullmatch(written):
        return Fraction(written.replace(",", "").replace("'", ""))
    if _CONTINENTAL.fullmatch(written):
        return Fraction(written.replace(".", "").replace(",", "."))
    last = re.split("[,']", written)[-1]
    return Fraction(last) if _PLAIN.fullmatch(last) else None
