"""Reading recorded JSON of any shape: a rejected request is stored as it came, so nothing about it can be relied on."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def mappings(value: object) -> list[Mapping[str, Any]]:
    return [item for item in items(value) if isinstance(item, dict)]


def text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def number(value: object) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if usable and math.isfinite(value) else None  # type: ignore[arg-type]
    except OverflowError:
        return None
