"""Two answers side by side: which words one has and the other has not."""

import re
from difflib import SequenceMatcher
from typing import NamedTuple

WORD = re.compile(r"\s+|\w+|[^\w\s]")
MOST_WORDS = 1_000  # between what both begin and end with; beyond, comparing takes longer than a page may


class Part(NamedTuple):
    text: str
    changed: bool


def marked(before: str, after: str) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Each text in parts; joined, the parts are the text."""
    one, other = WORD.findall(before), WORD.findall(after)
    start = _common(one, other)
    end = _common(one[start:][::-1], other[start:][::-1])
    a, b = one[start : len(one) - end], other[start : len(other) - end]
    if max(len(a), len(b)) > MOST_WORDS:
        blocks = []
    else:
        blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    same = [(0, 0, start)]
    for at, there, size in blocks:
        if any(word[0].isalnum() for word in a[at : at + size]):  # a space or comma in common connects nothing
            same.append((start + at, start + there, size))
    same.append((len(one) - end, len(other) - end, end))
    return (
        _parts(one, [(at, size) for at, _, size in same]),
        _parts(other, [(at, size) for _, at, size in same]),
    )


def _common(one: list[str], other: list[str]) -> int:
    together = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(together) if a != b), min(len(one), len(other)))


def _parts(words: list[str], same: list[tuple[int, int]]) -> tuple[Part, ...]:
    parts: list[Part] = []
    done = 0
    for at, size in [*same, (len(words), 0)]:
        for text, changed in (("".join(words[done:at]), True), ("".join(words[at : at + size]), False)):
            if text and parts and parts[-1].changed == changed:
                parts[-1] = Part(parts[-1].text + text, changed)
            elif text:
                parts.append(Part(text, changed))
        done = at + size
    return tuple(parts)
