import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.nesting import DEEPEST, read_json


@given(st.integers(1, DEEPEST), st.booleans(), st.binary(max_size=40))
def test_what_is_read_can_be_written_inside_something_else(levels: int, lists: bool, more: bytes) -> None:
    opening, closing = (b"[", b"]") if lists else (b'{"a":', b"}")
    raw = opening * levels + orjson.dumps(more.hex() * 20) + closing * levels
    assert orjson.dumps([[[read_json(raw)]]]) == b"[[[" + raw + b"]]]"


def test_brackets_in_a_text_are_no_levels() -> None:
    code = "[{" * 1000
    assert read_json(orjson.dumps([code])) == [code]


@pytest.mark.parametrize("levels", [DEEPEST + 1, 254, 1000, 5000])
def test_what_is_deeper_is_refused(levels: int) -> None:
    with pytest.raises(ValueError):
        read_json(b"[" * levels + b"1" + b"]" * levels)
