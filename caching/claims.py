"""Idempotency keys as Redis commands: the first request with a key claims it, the others wait for what it leaves there.

A claim is a lease that its holder renews, so that a process that dies does not keep a key for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from caching.core.keys import fingerprint
from caching.exact import Stored, dump, load

LEASE_S = 15
KEPT_S = 24 * 3600
LARGEST_VALUE = 8 * 1024 * 1024

# A claim that was sent twice (a connection broke) finds itself, and is still the first.
TAKE = """
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return found end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return false
"""
RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end return 0"
KEEP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

Command = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """``asked`` tells requests apart that bear the same key; ``holder`` is unique to one request."""

    key: str
    asked: bytes
    holder: str

    @property
    def _mine(self) -> bytes:
        return b"claimed %b %b" % (self.asked, self.holder.encode())

    def take(self) -> Command:
        """Replies None if the key is ours now, else what ``read`` understands."""
        return ("EVAL", TAKE, 1, self.key, self._mine, LEASE_S)

    def renew(self) -> Command:
        return ("EVAL", RENEW, 1, self.key, self._mine, LEASE_S)

    def end(self, stored: Stored | None) -> Command:
        """Leave the answer for a day; without one, the next request with this key starts anew."""
        value = b"done %b\n%b" % (self.asked, dump(stored)) if stored else b""
        if not value or len(value) > LARGEST_VALUE:
            return ("EVAL", RELEASE, 1, self.key, self._mine)
        return ("EVAL", KEEP, 1, self.key, self._mine, value, KEPT_S)

    def read(self, found: bytes) -> tuple[bool, Stored | None]:
        """Whether it was the same request, and its answer if there is one by now."""
        head, _, value = found.partition(b"\n")
        asked = head.split(b" ")[1]
        return asked == self.asked, load(value) if value else None


def claim_of(*, tenant: str, api_key: str, name: str, holder: str, endpoint: str, body: Mapping[str, Any]) -> Claim:
    """``name`` is what the client sent; it means something to one API key only."""
    hidden = fingerprint(api_key, name).hex()
    asked = fingerprint(endpoint, orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()).hex()
    return Claim(f"relay:{{{tenant}}}:idempotency:{hidden}", asked.encode(), holder)
