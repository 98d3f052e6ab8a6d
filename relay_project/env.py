"""The environment, read once: typed, with the name of the variable in every error."""

import os
import tempfile
from base64 import urlsafe_b64decode
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from traces.core.trace_context import Sampler, read_sampler

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def flag(name: str, default: bool = False) -> bool:
    value = text(name, "1" if default else "0").lower()
    if value not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")
    return value in TRUE


def number(name: str, default: int) -> int:
    value = text(name, str(default))
    try:
        return int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None


def real(name: str, default: float) -> float:
    value = text(name, str(default))
    try:
        return float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {value!r}.") from None


def percentages(name: str, default: str) -> list[int]:
    """Whole ones that rise, above 0 and at most 100."""
    given = names(name, default)
    found = [int(item) for item in given if item.isascii() and item.isdecimal() and len(item) < 4]
    if len(found) != len(given) or any(low >= high for low, high in zip([0, *found], [*found, 101], strict=True)):
        raise ImproperlyConfigured(f"{name} must be whole percentages that rise, for example {default}.")
    return found


def names(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in text(name, default).split(",") if item.strip()]


def sealing_keys(name: str) -> dict[str, bytes]:
    """``id:key,id:key``, each key 32 bytes in base64url, as {id: bytes} in that order. The error shows no key."""
    found: dict[str, bytes] = {}
    for number, item in enumerate(names(name), 1):
        key_id, _, encoded = item.partition(":")
        try:
            key = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except ValueError:
            key = b""
        if len(key) != 32 or not key_id.isascii() or not key_id.isalnum() or key_id in found:
            raise ImproperlyConfigured(
                f"{name}: entry {number} must be ID:KEY, the id of letters and digits and given once, the key 32 random"
                " bytes in base64url (python -c 'import secrets; print(secrets.token_urlsafe(32))')."
            )
        found[key_id] = key
    return found


def sampler() -> Sampler | None:
    """Which traces go to OpenTelemetry, by the standard variables; None: there is no address to send them to."""
    to = text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or text("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not to or flag("OTEL_SDK_DISABLED"):
        return None
    if urlsplit(to).scheme not in {"http", "https"}:
        raise ImproperlyConfigured("OTEL_EXPORTER_OTLP_ENDPOINT must look like http://collector:4318.")
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if text(name, "http/protobuf") != "http/protobuf":
            raise ImproperlyConfigured(f"{name} must be http/protobuf, the protocol that Relay speaks.")
    try:
        return read_sampler(
            text("OTEL_TRACES_SAMPLER") or "parentbased_always_on", argument=text("OTEL_TRACES_SAMPLER_ARG")
        )
    except ValueError as error:
        raise ImproperlyConfigured(str(error)) from None


def database(url: str, engine: str) -> dict[str, object]:
    """``postgres://user:password@host:port/name`` as a Django DATABASES entry. The error shows none of it."""
    problem = "DATABASE_URL must look like postgres://user:password@host:5432/name."
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        raise ImproperlyConfigured(problem) from None
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(problem)
    return {
        "ENGINE": engine,
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(port),
    }


def redis_url(name: str, default: str) -> str:
    """An address that redis-py takes. The error shows none of it."""
    url = text(name, default)
    problem = f"{name} must look like redis://user:password@host:6379/0 (or rediss://, unix://)."
    try:
        parts = urlsplit(url)
        well_formed = parts.port is None or parts.port > 0
    except ValueError:
        raise ImproperlyConfigured(problem) from None
    if parts.scheme not in {"redis", "rediss", "unix"} or not well_formed:
        raise ImproperlyConfigured(problem)
    return url


def writable_directory(name: str) -> Path | None:
    """None if it is not set. It is made if need be, and one that cannot be written to is refused."""
    given = text(name)
    if not given:
        os.environ.pop(name, None)  # libraries take an empty one for the current directory
        return None
    path = Path(given)
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name} must be a directory that Relay can write to, and {path} is not: {error.strerror}."
        ) from None
    return path


def smtp(name: str) -> tuple[str, int, str, str, bool, bool]:
    """``smtp://user:password@host:587`` (STARTTLS), ``smtps://host:465`` or ``smtp+plain://host:25`` as host, port,
    user, password, STARTTLS, TLS; no host if it is not set. The error shows none of it."""
    try:
        parts = urlsplit(text(name))
        port = parts.port
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not a valid address.") from None
    if not text(name):
        return "", 25, "", "", False, False
    if parts.scheme not in {"smtp", "smtps", "smtp+plain"} or not parts.hostname:
        raise ImproperlyConfigured(f"{name} must look like smtp://user:password@host:587 (or smtps://, smtp+plain://).")
    usual = {"smtp": 587, "smtps": 465, "smtp+plain": 25}[parts.scheme]
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return parts.hostname, port or usual, user, password, parts.scheme == "smtp", parts.scheme == "smtps"
