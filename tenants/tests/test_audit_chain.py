from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tenants.core.audit import Link, Verdict, hash_of, verify

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FIELDS = st.lists(TEXT, min_size=1, max_size=4).map(tuple)


def chain(*entries: tuple[str, ...]) -> list[Link]:
    links, head = [], ""
    for number, fields in enumerate(entries, 1):
        links.append(Link(number, head, hash_of(number, head, fields), fields))
        head = links[-1].hash
    return links


@given(st.lists(FIELDS, max_size=6))
def test_what_was_written_holds(entries: list[tuple[str, ...]]) -> None:
    links = chain(*entries)
    assert verify(links) == Verdict(len(links), links[-1].hash if links else "")


@given(st.lists(FIELDS, min_size=1, max_size=6), FIELDS, st.data())
def test_an_entry_that_was_changed_is_named(
    entries: list[tuple[str, ...]], other: tuple[str, ...], data: st.DataObject
) -> None:
    links = chain(*entries)
    at = data.draw(st.integers(0, len(links) - 1))
    links[at] = replace(links[at], fields=(*other, "changed"))
    assert verify(links).problem == f"Entry {at + 1} was changed."
    assert verify(links).checked == at


def test_an_entry_that_was_taken_out_is_named() -> None:
    first, _, third = chain(("a",), ("b",), ("c",))
    assert verify([first, third]).problem == "Entry 2 is missing; entry 3 follows."


def test_an_entry_hashed_anew_no_longer_carries_the_next() -> None:
    first, second = chain(("a",), ("b",))
    forged = replace(first, fields=("x",), hash=hash_of(1, "", ("x",)))
    assert verify([forged, second]).problem == "Entry 2 does not follow the one before it."


def test_a_noted_head_tells_that_the_end_was_cut_off() -> None:
    links = chain(("a",), ("b",), ("c",))
    assert verify(links, links[1].hash).problem == ""
    assert "missing at the end" in verify(links[:2], links[2].hash).problem


@given(FIELDS, FIELDS)
def test_no_two_entries_are_hashed_from_the_same_text(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (hash_of(1, "", one) == hash_of(1, "", other)) == (one == other)
