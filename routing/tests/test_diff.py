from hypothesis import given
from hypothesis import strategies as st

from routing.editor.diff import MAX_LINE, MAX_LINES, Row, Side, compare, sections

LINES = st.lists(
    st.sampled_from(["a: 1", "a: 2", "b: {c: 3}", "  - x", ""]) | st.text("abc ", max_size=12), max_size=30
)


def text_of(sides: list[Side | None]) -> list[str]:
    return ["".join(piece.text for piece in side.pieces) for side in sides if side is not None]


@given(LINES, LINES)
def test_both_texts_are_there_in_full_and_numbered(old: list[str], new: list[str]) -> None:
    rows = compare("\n".join(old), "\n".join(new))
    left, right = [row.left for row in rows], [row.right for row in rows]
    assert text_of(left) == "\n".join(old).splitlines()
    assert text_of(right) == "\n".join(new).splitlines()
    assert [side.number for side in left if side] == list(range(1, len(text_of(left)) + 1))
    assert [side.number for side in right if side] == list(range(1, len(text_of(right)) + 1))
    for row in rows:
        assert row.changed != (text_of([row.left]) == text_of([row.right]))


@given(LINES, LINES)
def test_folding_loses_nothing_and_hides_no_change(old: list[str], new: list[str]) -> None:
    rows = compare("\n".join(old), "\n".join(new))
    parts = sections(rows)
    assert [row for part in parts for row in part.rows] == rows
    assert not any(row.changed for part in parts if part.folded for row in part.rows)


def test_only_the_changed_characters_are_marked() -> None:
    (row,) = compare("max_tokens: 512", "max_tokens: 640")
    assert row.right is not None
    assert [piece.text for piece in row.right.pieces if not piece.changed] == ["max_tokens: "]


def test_lines_that_have_nothing_in_common_are_marked_whole() -> None:
    (row,) = compare("abcdef", "uvwxyz")
    assert row.left is not None and [piece.changed for piece in row.left.pieces] == [True]


def test_long_texts_and_lines_are_not_compared_in_detail() -> None:
    many = compare("x\n" * (MAX_LINES + 1), "y")
    assert len(many) == MAX_LINES and all(row.changed for row in many)
    (row,) = compare("x" * (MAX_LINE + 1), "x" * MAX_LINE)
    assert isinstance(row, Row) and row.left is not None and len(row.left.pieces) == 1
