from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from django.db.models import CharField
from hypothesis import given
from hypothesis import strategies as st

from traces.core.rows import COLUMNS, Unreadable, began_at, copy_line, read_entry
from traces.models import Trace
from traces.tests.records import record_of

ACME = SimpleNamespace(slug="acme", schema_name="t_acme")
UNESCAPED = {b"\\t": b"\t", b"\\n": b"\n", b"\\r": b"\r", b"\\\\": b"\\"}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def cells(line: bytes) -> dict[str, bytes]:
    """As PostgreSQL reads a line of COPY."""
    found = line.removesuffix(b"\n").split(b"\t")
    assert len(found) == len(COLUMNS)
    return {column.name: _unescaped(cell) for column, cell in zip(COLUMNS, found, strict=True)}


def _unescaped(cell: bytes) -> bytes:
    out, at = b"", 0
    while at < len(cell):
        pair = cell[at : at + 2]
        step = 2 if pair in UNESCAPED else 1
        out += UNESCAPED.get(pair, cell[at : at + 1])
        at += step
    return out


def test_the_columns_are_those_of_the_table() -> None:
    assert [column.name for column in COLUMNS] == [field.name for field in Trace._meta.concrete_fields]


def test_no_text_is_wider_than_its_column() -> None:
    widths = {field.name: field.max_length for field in Trace._meta.concrete_fields if isinstance(field, CharField)}
    written = cells(copy_line(record_of(ACME) | dict.fromkeys(widths, "é" * 999)))
    assert {name: len(written[name].decode()) for name in widths} == widths


@given(st.text(max_size=200).map(lambda text: text.replace("\x00", "")), json_values)
def test_any_text_and_json_arrive_unchanged(text: str, value: Any) -> None:
    written = cells(copy_line(record_of(ACME, prompt_line=text, request_json=value, decision_trace_json=[value])))
    assert written["prompt_line"].decode() == text
    assert value is None or orjson.loads(written["request_json"]) == value
    assert orjson.loads(written["decision_trace_json"]) == [value]


def test_numbers_flags_instants_and_what_is_missing() -> None:
    at = datetime(2024, 5, 31, 12, 0, 0, 250_000, UTC)
    record = record_of(ACME, started_at=at.timestamp(), stream=True, tokens_in=3.0, latency_ms=1.5)
    del record["policy_version"], record["spans_json"]
    written = cells(copy_line(record))
    assert written["started_at"] == b"2024-05-31T12:00:00.250000+00:00"
    assert (written["stream"], written["sample"]) == (b"t", b"f")
    assert (written["tokens_in"], written["latency_ms"], written["policy_version"]) == (b"3", b"1.5", b"0")
    assert (written["ttft_ms"], written["request_json"], written["spans_json"]) == (rb"\N", rb"\N", b"[]")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("route", 7),
        ("status", "200\t1"),
        ("latency_ms", True),
        ("started_at", 1e300),
        ("started_at", "now"),
        ("status", float("nan")),
    ],
)
def test_a_value_that_does_not_fit_names_its_column(column: str, value: object) -> None:
    with pytest.raises(Unreadable, match=column):
        copy_line(record_of(ACME) | {column: value})


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"id": "1", "tenant": "acme"}', b'{"id": 1, "tenant": "a", "schema": "s"}']
)
def test_what_is_no_trace_is_told_apart(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read_entry(data)


def test_nul_is_replaced_and_a_written_backslash_u0000_is_kept() -> None:
    said = {"nul": "a\x00b", "literal": "a\\u0000b"}
    record = read_entry(orjson.dumps(record_of(ACME, request_json=said)))
    assert record["request_json"] == {"nul": "a\ufffdb", "literal": "a\\u0000b"}
    assert read_entry(orjson.dumps(record_of(ACME, request_json={"a": 1})))["request_json"] == {"a": 1}


@pytest.mark.parametrize("value", [None, "yesterday", 1e300, [1]])
def test_a_trace_without_a_beginning_is_unreadable(value: object) -> None:
    with pytest.raises(Unreadable, match="started_at"):
        began_at({"started_at": value})


def test_a_trace_began_at_epoch_seconds() -> None:
    assert began_at({"started_at": 1_700_000_000}) == 1_700_000_000.0
