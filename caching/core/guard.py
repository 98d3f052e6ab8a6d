"""May the answer to one question be given to another? Vectors cannot say: "in 2 lines" and "in 20 lines" lie as close
together as a true paraphrase. The guard looks for differences that change an answer; in doubt it refuses."""

from collections.abc import Collection, Iterator

from caching.core.quantities import MONTHS, quantities
from caching.core.reading import Reading, read
from caching.core.words import CONTRASTS, FUNCTION_WORDS, NEGATIONS, QUESTION_WORDS

_REVERSING_PREFIXES = ("un", "dis", "in", "im", "il", "ir", "non", "de", "mis", "anti")
_ARTICLES = frozenset(("a", "an", "the", "my", "your", "his", "her", "our", "their", "some", "any"))


def differs(stored: str, asked: str) -> str | None:
    """Why the answer to `stored` must not answer `asked`, in plain words; None if nothing speaks against it."""
    if stored.split() == asked.split():
        return None
    one, other = read(stored), read(asked)
    checks = (_quotations, _numbers, _names, _symbols, _negations, _opposites, _reversals, _question_words, _order)
    return next((reason for check in checks if (reason := check(one, other))), None)


def _quotations(one: Reading, other: Reading) -> str | None:
    if one.quoted and other.quoted and len(one.quoted + other.quoted) > 2 and one.quoted != other.quoted:
        return "the quotations differ"
    missing = [text for a, b in ((one, other), (other, one)) for text in a.quoted if text not in b.flat]
    return f"only one of them quotes {_shown(missing[:1])}" if missing else None


def _numbers(one: Reading, other: Reading) -> str | None:
    a, b = quantities(one.tokens), quantities(other.tokens)
    if a == b:
        return None
    return f"the numbers differ: {_shown(map(str, a - b))} against {_shown(map(str, b - a))}"


def _names(one: Reading, other: Reading) -> str | None:
    missing = [name for a, b in ((one, other), (other, one)) for name in _missing_names(a, b)]
    return f"only one of them names {_shown(missing)}" if missing else None


def _missing_names(one: Reading, other: Reading) -> list[str]:
    known = {_singular(word) for word in other.words}
    no_names = FUNCTION_WORDS | MONTHS.keys()
    return sorted(name for name in one.names if name not in no_names and _singular(name) not in known)


def _symbols(one: Reading, other: Reading) -> str | None:
    if one.signs == other.signs:
        return None
    return f"the signs differ: {_shown(one.signs)} against {_shown(other.signs)}"


def _negations(one: Reading, other: Reading) -> str | None:
    a, b = list(_negating(one)), list(_negating(other))
    return None if len(a) == len(b) else f"a negation is in one only: {_shown(a)} against {_shown(b)}"


def _negating(text: Reading) -> Iterator[str]:
    return (word for word in text.words if word in NEGATIONS or word.endswith("n't"))


def _opposites(one: Reading, other: Reading) -> str | None:
    a, b = set(one.words), set(other.words)
    for group in CONTRASTS:
        here, there = a & group.keys(), b & group.keys()
        if here and there and {group[word] for word in here} != {group[word] for word in there}:
            return f"{_shown(sorted(here))} is not {_shown(sorted(there))}"
    return None


def _reversals(one: Reading, other: Reading) -> str | None:
    a, b = set(one.words), set(other.words)
    for word, against in [(word, b - a) for word in sorted(a - b)] + [(word, a - b) for word in sorted(b - a)]:
        for prefix in _REVERSING_PREFIXES:
            if len(word) > 3 and prefix + word in against - NEGATIONS:
                return f"{_shown([word])} is not {_shown([prefix + word])}"
    return None


def _question_words(one: Reading, other: Reading) -> str | None:
    a, b = QUESTION_WORDS.intersection(one.words), QUESTION_WORDS.intersection(other.words)
    if not a or not b or a == b:
        return None
    return f"{_shown(sorted(a))} is another question than {_shown(sorted(b))}"


def _order(one: Reading, other: Reading) -> str | None:
    """The same words in another order, unless a part only moved from one end to the other."""
    roles, other_roles = _roles(one.words), _roles(other.words)
    swapped = [word for word, role in roles.items() if other_roles.get(word, role) != role]
    if swapped:
        return f"{_shown(swapped[:1])} stands on the other side"
    same_words = sorted(one.words) == sorted(other.words)
    if same_words and f" {' '.join(one.words)} " not in f" {' '.join(other.words * 2)} ":
        return "the same words in another order"
    return None


def _roles(words: tuple[str, ...]) -> dict[str, str]:
    """Which words a text puts at the start and the end of a way: from x to y, x into y, more than y."""
    roles: dict[str, str] = {}
    meant = [word for word in words if word not in _ARTICLES]
    for before, word, after in zip(["", *meant], meant, meant[1:], strict=False):
        if word == "from":
            roles[after] = "start"
        elif word in ("to", "into", "than"):
            roles.setdefault(before, "start")
            roles[after] = "end"
    return {word: role for word, role in roles.items() if word not in FUNCTION_WORDS}


def _singular(word: str) -> str:
    return word.removesuffix("s")


def _shown(words: Collection[str] | Iterator[str]) -> str:
    return ", ".join(f"“{word[:40]}”" for word in words) or "none"
