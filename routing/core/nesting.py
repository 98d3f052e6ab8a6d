"""JSON from outside that can also be written again: orjson reads 1,024 levels and writes 254, and what Relay keeps of a
document stands inside another one."""

from typing import Any

import orjson

DEEPEST = 240  # levels
SPARE = 254 - DEEPEST


def read_json(raw: bytes) -> Any:
    """Raises ValueError for what is no JSON, or nested over ``DEEPEST`` levels."""
    document = orjson.loads(raw)
    if may_be_deep(raw):
        _check(document)
    return document


def may_be_deep(raw: bytes) -> bool:
    """A cheap test that most documents pass; those with many brackets are looked at."""
    return len(raw) > 2 * DEEPEST and raw.count(b"[") + raw.count(b"{") > DEEPEST


def _check(document: Any) -> None:
    for _ in range(SPARE):
        document = [document]
    try:
        orjson.dumps(document)
    except orjson.JSONEncodeError:
        raise ValueError(f"it is nested over {DEEPEST} levels") from None
