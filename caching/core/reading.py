"""One pass over a short English text: its tokens, and the names and quotations in them."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

_STRAIGHT = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u2212": "-"}
)

_QUOTED = re.compile(r"```(.+?)```|`([^`]+)`|\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)", re.DOTALL)

_TOKEN = re.compile(
    r"""
    (?P<date>\d{4}-\d{2}-\d{2}(?!\w))
  | (?P<raw>\d+(?:[.:/]\d+){2,} | \d+[:/]\d+ | \d+\.\d{3}(?!\d))       # 3.11.2, 10:30, 1/2; 1.000 is 1 here, 1000 there
  | (?P<number>(?:(?<![\w)])-)?(?:\d{1,3}(?:,\d{3})+(?!\d) | \d+)(?:\.\d+)? | \.\d+)
  | (?P<word>[^\W\d_]\w*(?:'[^\W\d_]+)*(?:[._]\w+)*(?:\+\+|\#)?|_\w+)
  | (?P<symbol>[^\w\s])
    """,
    re.VERBOSE,
)

_CODE = re.compile(r"[a-z0-9][A-Z]|[A-Za-z]\d|[_#+]|[A-Za-z]\.[A-Za-z]{2}|^[A-Z]{2,}$")
_OPERATORS = frozenset("+*/^=<>|~#\\")
_MONEY = frozenset("€£¥°")
_SENTENCE_END = frozenset(".!?:;\"'*-([")


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # a group of _TOKEN
    text: str

    @property
    def lower(self) -> str:
        return self.text.lower()


@dataclass(frozen=True)
class Reading:
    tokens: tuple[Token, ...]
    quoted: tuple[str, ...]
    flat: str  # the whole text, each run of white space one space

    @cached_property
    def words(self) -> tuple[str, ...]:
        return tuple(_bare(token.lower) for token in self.tokens if token.kind == "word")

    @cached_property
    def names(self) -> frozenset[str]:
        """Words that stand for themselves: identifiers, acronyms, capitalised words inside a sentence."""
        inside = [
            token
            for before, token in zip(self.tokens, self.tokens[1:], strict=False)
            if token.kind == "word" and not (before.kind == "symbol" and before.text in _SENTENCE_END)
        ]
        capitalised = [token for token in inside if token.text[0].isupper() and not token.text.startswith(("I'", "I "))]
        in_a_title = len(inside) > 2 and len(capitalised) > 0.6 * len(inside)
        names = {token for token in self.tokens if token.kind == "word" and _CODE.search(token.text)}
        if not in_a_title:
            names.update(token for token in capitalised if token.text != "I")
        return frozenset(_bare(token.lower) for token in names)

    @cached_property
    def signs(self) -> tuple[str, ...]:
        """Operators beside numbers and variables, then every letter or sign that the embedder may not tell apart."""
        around = zip(("", *self.texts), self.texts, (*self.texts[1:], ""), strict=False)
        operators = [sign for before, sign, after in around if _operates(before, sign, after)]
        return tuple(
            operators + sorted(text.lower() for text in self.texts if not text.isascii() and text not in _MONEY)
        )

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(token.text for token in self.tokens)


def read(text: str) -> Reading:
    plain = unicodedata.normalize("NFKD", text.translate(_STRAIGHT))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    tokens = tuple(Token(match.lastgroup or "symbol", match.group()) for match in _TOKEN.finditer(plain))
    quoted = tuple(_flat("".join(groups)) for groups in _QUOTED.findall(plain))
    return Reading(tokens, quoted, _flat(plain))


def _flat(text: str) -> str:
    return " ".join(text.split())


def _bare(word: str) -> str:
    return word.removesuffix("'s").rstrip(".")


def _operates(before: str, sign: str, after: str) -> bool:
    return sign in _OPERATORS and any(len(side) == 1 or side[:1].isdigit() for side in (before, after))
