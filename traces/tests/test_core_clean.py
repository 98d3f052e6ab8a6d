from dataclasses import dataclass
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from traces.core.clean import storable

leaves = st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(codec=None)) | st.binary()
keys = st.text() | st.integers()
anything = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner))


@dataclass(frozen=True, slots=True)
class Rule:
    name: str


@given(anything)
def test_whatever_comes_can_be_written_and_holds_no_nul(value: Any) -> None:
    data = orjson.dumps(storable(value))
    assert b"\\u0000" not in data.replace(b"\\\\", b"")


@given(
    st.recursive(
        st.text("abc") | st.integers(-9, 9), lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner)
    )
)
def test_what_was_fine_stays_as_it_is(value: Any) -> None:
    assert storable(value) == value


def test_what_is_mended() -> None:
    assert storable("a\x00b\ud800") == "a\ufffdb?"
    assert storable({"\x00": 1 << 70, "n": 7}) == {"\ufffd": hex(1 << 70), "n": 7}
    assert storable((Rule("first"), b"x")) == [{"name": "first"}, "b'x'"]
    assert storable(Rule) == str(Rule)


def test_nesting_ends_in_a_note() -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    data = orjson.dumps(storable(deep))
    assert b"too deeply" in data
