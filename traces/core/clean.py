"""Values that orjson can write and PostgreSQL can keep, whatever a client or a provider sent."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

MAX_DEPTH = 64  # far below the limits of orjson (254) and of PostgreSQL's stack
REPLACEMENT = "\ufffd"
LARGEST, SMALLEST = (1 << 64) - 1, -(1 << 63)


def storable(value: object, depth: int = 0) -> Any:
    """NUL and lone surrogates become U+FFFD, numbers that JSON readers lose become text, too deep becomes a note."""
    match value:
        case str():
            return _text(value)
        case None | bool() | float():
            return value
        case int():
            return value if SMALLEST <= value <= LARGEST else _text(hex(value))
        case _ if depth >= MAX_DEPTH:
            return "(nested too deeply to keep)"
        case Mapping():
            return {_text(str(key)): storable(item, depth + 1) for key, item in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [storable(item, depth + 1) for item in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return storable(asdict(value), depth)
        case _:
            return _text(str(value))


def _text(value: str) -> str:
    return value.replace("\x00", REPLACEMENT).encode("utf-8", "replace").decode().replace("\x00", REPLACEMENT)
