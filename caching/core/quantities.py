"""Numbers in a text, however written: 2 = two = 2.0, 1,000 = a thousand, 1st = first, 5 km = 5 kilometres."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from caching.core.reading import Token
from caching.core.words import words

_SMALL = {
    word: value
    for value, word in enumerate(
        words("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
    """)
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(words("twenty thirty forty fifty sixty seventy eighty ninety"), start=2)
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SUFFIXES = {"k": 1_000, "m": 10**6, "mn": 10**6, "bn": 10**9, "b": 10**9}
_ORDINALS = {
    word: value
    for value, word in enumerate(words("first second third fourth fifth sixth seventh eighth ninth tenth"), start=1)
}
MONTHS = {
    spelling: value
    for value, name in enumerate(
        words("january february march april may june july august september october november december"), start=1
    )
    for spelling in (name, name[:3], name[:4])
}
_SAME_UNITS = """
% percent percentage pct; $ dollar usd buck; € euro eur; £ gbp quid; ¥ yen; am a.m; pm p.m; st nd rd th;
km kilometer kilometre; m meter metre; cm centimeter centimetre; mm millimeter millimetre; mile mi; foot feet ft;
inch inches; kg kilogram kilo; g gram; lb pound; oz ounce; l liter litre; ml milliliter millilitre;
s second sec; ms millisecond; minute min; hour hr h; day; week wk; month; year yr; celsius °c; fahrenheit °f;
line; sentence; word; paragraph; page; bullet; step; point; token; character char;
byte; kb kilobyte; mb megabyte; gb gigabyte; tb terabyte
"""
_UNITS = {spelling: same.split()[0] for same in _SAME_UNITS.split(";") for spelling in same.split()}
_BEFORE_A_UNIT = frozenset(("a", "an", "per", "each", "every", "split"))
_BEFORE_A_MONTH = frozenset(("in", "of", "since", "until", "by", "from", "last", "next", "this", "during"))


@dataclass(frozen=True, slots=True)
class Quantity:
    value: Fraction | str  # a str is kept as written: a version, a time, a fraction
    unit: str

    def __str__(self) -> str:
        return f"{_digits(self.value)} {self.unit}".strip()


def quantities(tokens: Sequence[Token]) -> Counter[Quantity]:
    """How often each quantity occurs. "one" without a unit is a pronoun more often than a number, and left out."""
    found: Counter[Quantity] = Counter()
    at = 0
    while at < len(tokens):
        read, at = _quantities_at(tokens, at)
        found.update(read)
    return found


def _quantities_at(tokens: Sequence[Token], at: int) -> tuple[list[Quantity], int]:
    """What stands at `at`, and where to read on."""
    token = tokens[at]
    if token.kind == "date":
        year, month, day = token.text.split("-")
        return [_number(year), Quantity(Fraction(month), "month of the year"), _number(day)], at + 1
    if token.kind == "raw":
        return _with_unit(token.text, tokens, at, at + 1)
    if token.kind == "number":
        value, end = _scaled(Fraction(token.text.replace(",", "")), tokens, at + 1)
        return _with_unit(value, tokens, at, end)
    if token.kind == "word":
        return _spelled_at(tokens, at)
    return [], at + 1


def _spelled_at(tokens: Sequence[Token], at: int) -> tuple[list[Quantity], int]:
    word, before = tokens[at].lower, tokens[at - 1].lower if at else ""
    if word in _ORDINALS and not (word == "second" and (before in _BEFORE_A_UNIT)):
        return [Quantity(Fraction(_ORDINALS[word]), "st")], at + 1
    if word in MONTHS and (word not in ("may", "march", "mar", "dec", "sept") or _dated(tokens, at, before)):
        return [Quantity(Fraction(MONTHS[word]), "month of the year")], at + 1
    value, end = _spelled(tokens, at)
    if value is None:
        return [], at + 1
    read, after = _with_unit(value, tokens, at, end)
    return ([], end) if word == "one" and after == end == at + 1 else (read, after)


def _dated(tokens: Sequence[Token], at: int, before: str) -> bool:
    neighbours = tokens[max(0, at - 1) : at + 2]
    return before in _BEFORE_A_MONTH or any(token.kind == "number" for token in neighbours)


def _spelled(tokens: Sequence[Token], at: int) -> tuple[Fraction | None, int]:
    """ "two hundred and five" -> 205; "a thousand" -> 1000; "a cat" -> None."""
    total, part, room, start = 0, 0, 1_000, at
    if tokens[at].lower in ("a", "an") and at + 1 < len(tokens) and tokens[at + 1].lower in _SCALES:
        part, at = 1, at + 1
    while at < len(tokens):
        word = tokens[at].lower
        if word in _SMALL and _SMALL[word] < room:
            part, room = part + _SMALL[word], 1
        elif word in _TENS and _TENS[word] < room:
            part, room = part + _TENS[word], 10
        elif word in _SCALES and at > start:
            total, part, room = _scale(total, part, word)
        elif word not in ("and", "-") or not (at > start and _goes_on(tokens, at, room)):
            break
        at += 1
    return (Fraction(total + part), at) if at > start else (None, at)


def _scale(total: int, part: int, word: str) -> tuple[int, int, int]:
    if word == "hundred":
        return total, (part or 1) * 100, 100
    return total + (part or 1) * _SCALES[word], 0, 1_000


def _goes_on(tokens: Sequence[Token], at: int, room: int) -> bool:
    """At the "and" or the hyphen inside a number: two hundred and five, twenty-one."""
    following = tokens[at + 1].lower if at + 1 < len(tokens) else ""
    joins = room == 10 if tokens[at].lower == "-" else tokens[at - 1].lower in _SCALES
    return joins and (_SMALL | _TENS).get(following, room) < room


def _scaled(value: Fraction, tokens: Sequence[Token], at: int) -> tuple[Fraction, int]:
    while at < len(tokens) and (factor := _SCALES.get(tokens[at].lower) or _SUFFIXES.get(tokens[at].lower)):
        value, at = value * factor, at + 1
    return value, at


def _with_unit(value: Fraction | str, tokens: Sequence[Token], start: int, end: int) -> tuple[list[Quantity], int]:
    before = _UNITS.get(tokens[start - 1].lower, "") if start else ""
    if before in ("$", "€", "£", "¥"):
        return [Quantity(value, before)], end
    at = end + 1 if end + 1 < len(tokens) and tokens[end].lower == "-" else end
    word = tokens[at].lower if at < len(tokens) else ""
    unit = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
    return ([Quantity(value, unit)], at + 1) if unit else ([Quantity(value, "")], end)


def _number(text: str) -> Quantity:
    return Quantity(Fraction(text), "")


def _digits(value: Fraction | str) -> str:
    if isinstance(value, str) or value.denominator == 1:
        return str(value)
    return str(float(value))
