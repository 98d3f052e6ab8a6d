"""The exact cache as Redis commands, not calls: the pipeline sends several commands in one round trip."""

from dataclasses import dataclass

import orjson

_FORMAT = b"1"
LARGEST_VALUE = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    answer: bytes  # the JSON of a chat.completion
    trace_id: str
    policy: str
    policy_version: int
    deployment: str
    model: str
    created_at: float
    tokens_in: int
    tokens_out: int
    cost_microusd: int


def get_command(key: str) -> tuple[str, str]:
    return ("GET", key)


def put_command(key: str, stored: Stored, ttl_s: int) -> tuple[str, str, bytes, str, int] | None:
    """None if the answer is too large to keep or would expire at once."""
    if ttl_s <= 0:
        return None
    value = dump(stored)
    return ("SET", key, value, "EX", ttl_s) if len(value) <= LARGEST_VALUE else None


def parse(raw: bytes | None, *, now: float, max_age_s: int | None) -> Stored | None:
    """None for nothing, for a value of another format, and for an answer older than the client accepts."""
    stored = load(raw) if raw is not None else None
    return None if stored is None or (max_age_s is not None and now - stored.created_at > max_age_s) else stored


def load(raw: bytes) -> Stored | None:
    """None for a value of another format."""
    head, _, answer = raw.partition(b"\n")
    version, _, facts = head.partition(b" ")
    if version != _FORMAT:
        return None
    try:
        return Stored(answer=answer, **orjson.loads(facts))
    except (orjson.JSONDecodeError, TypeError):
        return None


def dump(stored: Stored) -> bytes:
    """One line of facts, then the answer as it was received: nothing of it is parsed or escaped again."""
    facts = {name: getattr(stored, name) for name in Stored.__slots__ if name != "answer"}
    return b"%b %b\n%b" % (_FORMAT, orjson.dumps(facts), stored.answer)
