"""Raw bodies for reading: indented, JSON inside strings unfolded, very long strings cut (the download has all)."""

import json
import re
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

LONGEST_STRING = 4_000
LONGEST_TEXT = 120_000
DEEPEST = 40
TOKENS = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)')


def unfolded(value: Any, depth: int = 0) -> Any:
    """Strings that hold a JSON object or array become what they hold."""
    if depth > DEEPEST:
        return value
    if isinstance(value, dict):
        return {key: unfolded(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [unfolded(item, depth + 1) for item in value]
    if isinstance(value, str):
        held = held_json(value)
        if held is not None:
            return unfolded(held, depth + 1)
        if len(value) > LONGEST_STRING:
            return f"{value[:LONGEST_STRING]}… ({len(value) - LONGEST_STRING:,} characters more in the download)"
    return value


def held_json(value: str) -> Any | None:
    if value.lstrip()[:1] not in ("{", "["):
        return None
    try:
        held = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict | list) and held else None


def pretty(value: Any) -> str:
    """A string that is not JSON itself is given back as it is."""
    shown = unfolded(value)
    text = shown if isinstance(shown, str) else json.dumps(shown, indent=2, ensure_ascii=False)
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "\n… (the rest is in the download)"


def highlighted(source: str) -> SafeString:
    """Spans around keys, strings, numbers and words; every piece of the source is escaped."""
    pieces, end = [], 0
    for match in TOKENS.finditer(source):
        string, colon, word, _ = match.groups()
        kind = ("k" if colon else "s") if string else ("w" if word else "n")
        body = string or match.group(0)
        pieces += [
            escape(source[end : match.start()]),
            f'<i class="{kind}">',
            escape(body),
            "</i>",
            escape(colon or ""),
        ]
        end = match.end()
    return mark_safe("".join([*pieces, escape(source[end:])]))
