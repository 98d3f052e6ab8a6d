"""The shape of an API key: ``sk-relay-<id>_<secret><checksum>``.

The id (12 characters) is public and finds the row. The checksum (6 characters, CRC-32 in base 62) lets a mistyped or
truncated key be refused, and a leaked one be recognised by a scanner, without asking anybody.
"""

import hmac
import re
import zlib
from dataclasses import dataclass

PREFIX = "sk-relay-"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 12, 32, 6
_KEY = re.compile(
    rf"{PREFIX}([0-9A-Za-z]{{{ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at its birth: the only moment at which its text is known."""

    key_id: str
    text: str


def make_key(randomness: bytes) -> NewKey:
    """A key from at least 44 random bytes."""
    if len(randomness) < ID_LENGTH + SECRET_LENGTH:
        raise ValueError(f"{ID_LENGTH + SECRET_LENGTH} random bytes are needed")
    number = int.from_bytes(randomness, "big")
    characters = _base62(number, ID_LENGTH + SECRET_LENGTH)
    key_id, secret = characters[:ID_LENGTH], characters[ID_LENGTH:]
    return NewKey(key_id, f"{PREFIX}{key_id}_{secret}{_checksum(key_id, secret)}")


def key_id_of(text: str) -> str | None:
    """The public id of a well-formed key, else None."""
    match = _KEY.fullmatch(text)
    if match is None or match[3] != _checksum(match[1], match[2]):
        return None
    return match[1]


def digest_of(text: str, pepper: str) -> str:
    """What is stored: HMAC-SHA256 of the whole key, in hex."""
    return hmac.digest(pepper.encode(), text.encode(), "sha256").hex()


def matches(text: str, pepper: str, digest: str) -> bool:
    return hmac.compare_digest(digest_of(text, pepper), digest)


def _checksum(key_id: str, secret: str) -> str:
    return _base62(zlib.crc32(f"{key_id}_{secret}".encode()), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    characters = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        characters.append(ALPHABET[digit])
    return "".join(characters)
