"""From an entry of the stream to a line of PostgreSQL's COPY text format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from traces.core.clean import storable

NULL = b"\\N"


class Unreadable(Exception):
    """The entry is not a trace; it says why."""


@dataclass(frozen=True, slots=True)
class Column:
    """``default`` stands in for what a writer of another version left out."""

    name: str
    encode: Callable[[Any], bytes]
    default: object = None


def read_entry(data: bytes) -> dict[str, Any]:
    """The record in a stream entry. Raises Unreadable."""
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error}") from None
    if not isinstance(record, dict) or not all(
        isinstance(record.get(name), str) for name in ("id", "tenant", "schema")
    ):
        raise Unreadable("no id, tenant and schema")
    if b"\\u0000" in data:  # PostgreSQL refuses NUL in text and jsonb
        return dict(storable(record))
    return record


def began_at(record: Mapping[str, Any]) -> float:
    """Epoch seconds. Raises Unreadable unless it is a moment that can be stored."""
    value = record.get("started_at")
    try:
        _instant(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise Unreadable(f"started_at: {error}") from None
    return float(value)  # type: ignore[arg-type]


def copy_line(record: Mapping[str, Any]) -> bytes:
    """One row, its columns in the order of COLUMNS. Raises Unreadable, naming the column."""
    cells = []
    for column in COLUMNS:
        value = record.get(column.name)
        if value is None:
            value = column.default
        try:
            cells.append(NULL if value is None else column.encode(value))
        except (TypeError, ValueError, OverflowError, OSError) as error:
            raise Unreadable(f"{column.name}: {error}") from None
    return b"\t".join(cells) + b"\n"


def _text(limit: int) -> Callable[[Any], bytes]:
    """Cut at the column's width: a trace with a shortened name is better than none."""

    def encode(value: str) -> bytes:
        if not isinstance(value, str):
            raise TypeError(f"must be text, not {type(value).__name__}")
        return _escaped(value[:limit].encode())

    return encode


def _escaped(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n").replace(b"\r", b"\\r")


def _json(value: Any) -> bytes:
    """JSON has no bare tab or newline; only its backslashes need care."""
    return orjson.dumps(value).replace(b"\\", b"\\\\")


def _number(value: float) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"must be a number, not {type(value).__name__}")
    return repr(value).encode()


def _whole(value: float) -> bytes:
    return _number(round(value) if isinstance(value, float) else value)


def _flag(value: object) -> bytes:
    return b"t" if value else b"f"


def _instant(value: float) -> bytes:
    return datetime.fromtimestamp(value, UTC).isoformat().encode()


COLUMNS = (
    Column("id", _text(36)),
    Column("started_at", _instant),
    Column("request_id", _text(128), ""),
    Column("outcome", _text(12)),
    Column("status", _whole),
    Column("error_code", _text(64), ""),
    Column("sample", _flag, False),
    Column("api_key", _text(80), ""),
    Column("key_id", _text(16), ""),
    Column("route", _text(200), ""),
    Column("provider", _text(64), ""),
    Column("deployment", _text(64), ""),
    Column("model", _text(200), ""),
    Column("policy", _text(64), ""),
    Column("policy_version", _whole, 0),
    Column("bucket", _text(8), ""),
    Column("lane", _text(16), ""),
    Column("cache", _text(8), "off"),
    Column("stream", _flag, False),
    Column("endpoint", _text(12), "chat"),
    Column("strategy", _text(16), ""),
    Column("task", _text(16), ""),
    Column("latency_ms", _number),
    Column("backend_latency_ms", _number),
    Column("queue_wait_ms", _number),
    Column("ttft_ms", _number),
    Column("overhead_ms", _number),
    Column("tokens_in", _whole),
    Column("tokens_out", _whole),
    Column("usage_source", _text(10), ""),
    Column("charged_requests", _whole, 0),
    Column("charged_tokens", _whole, 0),
    Column("price_in_microusd", _whole),
    Column("price_out_microusd", _whole),
    Column("cost_microusd", _whole, 0),
    Column("saved_microusd", _whole, 0),
    Column("prompt_line", _text(200), ""),
    Column("reason", _text(300), ""),
    Column("request_json", _json),
    Column("response_json", _json),
    Column("plan_json", _json),
    Column("inputs_json", _json),
    Column("decision_trace_json", _json, ()),
    Column("cache_json", _json),
    Column("scheduler_json", _json),
    Column("attempts_json", _json, ()),
    Column("spans_json", _json, ()),
)
