"""Two texts side by side: rows of matching lines, with the changed characters marked. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby, zip_longest

MAX_LINES = 2_000  # what comes after them is neither compared nor shown: a page must not take seconds
MAX_LINE = 300  # longer lines are not compared character by character
SIMILAR = 0.4
CONTEXT = 3  # unchanged lines shown around a change
MIN_FOLD = 4


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    number: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """``left`` is None for an added line, ``right`` for a removed one."""

    left: Side | None
    right: Side | None
    changed: bool


def compare(old: str, new: str) -> list[Row]:
    left, right = old.splitlines()[:MAX_LINES], new.splitlines()[:MAX_LINES]
    rows: list[Row] = []
    for tag, a, b, c, d in SequenceMatcher(None, left, right).get_opcodes():
        if tag == "equal":
            rows += [
                Row(_side(a + step, (Piece(line),)), _side(c + step, (Piece(line),)), changed=False)
                for step, line in enumerate(left[a:b])
            ]
        else:
            rows += _changed(left[a:b], right[c:d], a, c)
    return rows


@dataclass(frozen=True, slots=True)
class Section:
    """Rows in one piece; ``folded`` ones are unchanged and far from any change."""

    rows: tuple[Row, ...]
    folded: bool


def sections(rows: list[Row]) -> list[Section]:
    """All rows, in order, with every long unchanged run in a section of its own."""
    changed = [index for index, row in enumerate(rows) if row.changed]
    near = {index + step for index in changed for step in range(-CONTEXT, CONTEXT + 1)}
    runs = [
        (far, [rows[index] for index in run]) for far, run in groupby(range(len(rows)), lambda index: index not in near)
    ]
    return [Section(tuple(run), far and len(run) >= MIN_FOLD) for far, run in runs]


def _changed(left: list[str], right: list[str], left_at: int, right_at: int) -> Iterator[Row]:
    for step, (before, after) in enumerate(zip_longest(left, right)):
        whole = (Piece(before or "", True),), (Piece(after or "", True),)
        old, new = whole if before is None or after is None else _pieces(before, after)
        yield Row(
            None if before is None else _side(left_at + step, old),
            None if after is None else _side(right_at + step, new),
            changed=True,
        )


def _side(index: int, pieces: tuple[Piece, ...]) -> Side:
    return Side(index + 1, pieces)


def _pieces(before: str, after: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    whole = (Piece(before, True),), (Piece(after, True),)
    if max(len(before), len(after)) > MAX_LINE:
        return whole
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < SIMILAR:
        return whole
    old, new = [], []
    for tag, a, b, c, d in matcher.get_opcodes():
        old.append(Piece(before[a:b], tag != "equal"))
        new.append(Piece(after[c:d], tag != "equal"))
    return tuple(piece for piece in old if piece.text), tuple(piece for piece in new if piece.text)
