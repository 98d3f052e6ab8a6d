"""The chain of the audit log: each entry's hash covers the entry and the hash before it, so that nothing can be
changed, removed or slipped in afterwards without every later hash telling.

What is hashed is written by PostgreSQL (`tenants/audit_sql.py`); this is the same rule once more, on its own.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

START = ""  # what stands before the first entry


@dataclass(frozen=True, slots=True)
class Link:
    """An entry as it is stored. ``fields``: all that it says, as text, in the order in which it is hashed."""

    number: int
    previous: str
    hash: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``problem`` names the first entry that is wrong; empty if the chain holds. ``head`` is the last good hash."""

    checked: int
    head: str
    problem: str = ""


def hash_of(number: int, previous: str, fields: Sequence[str]) -> str:
    """SHA-256 in hex over netstrings (LENGTH:TEXT, joined by commas), which no other fields can spell."""
    parts = [text.encode() for text in (str(number), previous, *fields)]
    return hashlib.sha256(b",".join(b"%d:%s" % (len(part), part) for part in parts)).hexdigest()


def verify(links: Iterable[Link], expected: str = "") -> Verdict:
    """Walks the chain in the order of numbers. ``expected``: a hash noted earlier that must still be in it, which tells
    when entries were taken off the end."""
    checked, head, met = 0, START, not expected
    for link in links:
        if problem := _problem_with(link, checked + 1, head):
            return Verdict(checked, head, problem)
        checked, head = checked + 1, link.hash
        met = met or head == expected
    if not met:
        return Verdict(checked, head, f"No entry has the hash {expected}: entries are missing at the end.")
    return Verdict(checked, head)


def _problem_with(link: Link, number: int, head: str) -> str:
    if link.number != number:
        return f"Entry {number} is missing; entry {link.number} follows."
    if link.previous != head:
        return f"Entry {number} does not follow the one before it."
    if link.hash != hash_of(number, head, link.fields):
        return f"Entry {number} was changed."
    return ""
