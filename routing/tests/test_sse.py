import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.sse import MAX_EVENT_BYTES, EventTooLarge, SseReader, frame

PIECES = st.lists(
    st.sampled_from(
        [b"data: ", b"data:", b"{}", "é😀".encode(), b"\n", b"\r", b"\r\n", b"\n\n", b": ping", b"event: x", b"x"]
    )
)


def read(wire: bytes, cuts: list[int]) -> list[bytes]:
    reader, events, start = SseReader(), [], 0
    for cut in [*sorted(cuts), len(wire)]:
        events += reader.feed(wire[start:cut])
        start = cut
    return events


@given(PIECES.map(b"".join), st.data())
def test_any_split_of_the_bytes_gives_the_same_events(wire: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(wire))))
    assert read(wire, cuts) == read(wire, []) == read(wire, list(range(len(wire))))


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")).map(lambda text: f"{{{text}}}".encode()))
)
def test_what_was_framed_is_read_again(events: list[bytes]) -> None:
    assert SseReader().feed(frame(events)) == events


def test_comments_and_other_fields_are_skipped_and_lines_of_one_event_joined() -> None:
    wire = (
        b": keep-alive\n\nevent: delta\nid: 1\ndata: one\ndata: two\n\nretry: 10\n\ndata:three\r\n\r\ndata: unfinished"
    )
    assert SseReader().feed(wire) == [b"one\ntwo", b"three"]


@pytest.mark.parametrize("ending", [b"", b"\n\n"])
def test_an_event_over_a_mebibyte_is_refused_whether_it_ends_or_not(ending: bytes) -> None:
    reader = SseReader()
    half = b"x" * (MAX_EVENT_BYTES // 2)
    assert reader.feed(b"data: " + half) == []
    with pytest.raises(EventTooLarge):
        reader.feed(half + ending)
