"""Credentials at rest: envelope encryption with AES-256-GCM.

Each secret is encrypted with a data key of its own, and that key with the first key of ``RELAY_CREDENTIAL_KEYS``. Keys
are rotated by wrapping the data keys anew; the secrets themselves are not touched. Both layers are bound to a *context*
(the purpose and the row), so a sealed text that was moved to another row or purpose does not open.

A sealed text: ``v1.<key id>.<nonce + wrapped data key>.<nonce + encrypted secret>``, the last two in base64url.
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = "v1"
KEY_BYTES = 32
NONCE_BYTES = 12

Keys = Mapping[str, bytes]  # id -> 32 bytes; the first one seals, all of them open


class CannotSeal(Exception):
    """No key is set."""


class CannotOpen(Exception):
    """The text was damaged or moved, or its key is gone. The message holds nothing of either."""


def seal(keys: Keys, secret: str, context: str) -> str:
    data_key = secrets.token_bytes(KEY_BYTES)
    return _join(keys, data_key, _encrypt(data_key, secret.encode(), context), context)


def unseal(keys: Keys, sealed: str, context: str) -> str:
    """Raises CannotOpen."""
    data_key, encrypted = _parts(keys, sealed, context)
    return _decrypt(data_key, encrypted, context).decode()


def rewrap(keys: Keys, sealed: str, context: str) -> str:
    """The same secret under the first key, after a proof that it opens. Raises CannotOpen."""
    data_key, encrypted = _parts(keys, sealed, context)
    _decrypt(data_key, encrypted, context)
    return _join(keys, data_key, encrypted, context)


def key_of(sealed: str) -> str:
    """The id of the key that wraps it; empty for a text of another form."""
    parts = sealed.split(".")
    return parts[1] if len(parts) == 4 and parts[0] == VERSION else ""


def _join(keys: Keys, data_key: bytes, encrypted: bytes, context: str) -> str:
    if not keys:
        raise CannotSeal
    key_id = next(iter(keys))
    wrapped = _encrypt(keys[key_id], data_key, _wrapping(key_id, context))
    return ".".join((VERSION, key_id, urlsafe_b64encode(wrapped).decode(), urlsafe_b64encode(encrypted).decode()))


def _parts(keys: Keys, sealed: str, context: str) -> tuple[bytes, bytes]:
    key_id = key_of(sealed)
    if key_id not in keys:
        raise CannotOpen(f"Its key {key_id!r} is not among RELAY_CREDENTIAL_KEYS.")
    try:
        wrapped, encrypted = (urlsafe_b64decode(part) for part in sealed.split(".")[2:])
    except ValueError:
        raise CannotOpen("It is damaged.") from None
    return _decrypt(keys[key_id], wrapped, _wrapping(key_id, context)), encrypted


def _wrapping(key_id: str, context: str) -> str:
    return f"wrap/{key_id}/{context}"


def _encrypt(key: bytes, plain: bytes, context: str) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, context.encode())


def _decrypt(key: bytes, encrypted: bytes, context: str) -> bytes:
    try:
        return AESGCM(key).decrypt(encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError):
        raise CannotOpen("It is damaged, or it was sealed for another row or with another key.") from None
