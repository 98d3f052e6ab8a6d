"""Where one checkout keeps its embedded servers' data, its generated secrets, and what a running `make dev` published.

settings.py imports this on every start: standard library only, no subprocess, no Django.
"""

import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SECRETS = {
    "postgres_password": 24,
    "redis_password": 24,
    "secret_key": 48,
    "key_pepper": 32,
    "credential_key": 32,
    "admin_password": 12,
}  # name -> random bytes


class StateError(Exception):
    """The state directory can't be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    pid: int
    url: str


def state_dir() -> Path:
    """Root's directory lies outside the checkout: PostgreSQL then runs as `nobody`, who can't pass a 0700 parent."""
    chosen = os.environ.get("RELAY_STATE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        digest = hashlib.sha256(os.fsencode(CHECKOUT)).hexdigest()[:12]
        return Path("/var/tmp") / f"relay-{digest}"
    return CHECKOUT / ".relay"


def open_state_dir() -> Path:
    """Create the directory if need be. For root it lets `nobody` through (0711), but not list it."""
    directory = state_dir()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
        if status.st_uid != os.geteuid():
            raise StateError(f"{directory} belongs to another user. Set RELAY_STATE_DIR to a directory of your own.")
        directory.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise StateError(f"{directory}: {error.strerror}. Set RELAY_STATE_DIR to a directory you can write.") from error
    return directory


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole; nobody but its owner can ever read it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.replace(name, path)


def load_secrets(directory: Path) -> dict[str, str]:
    """The checkout's secrets; those that are missing are made up and kept."""
    path = directory / "secrets.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {name: secrets.token_urlsafe(size) for name, size in SECRETS.items() if name not in kept}
    if missing:
        kept |= missing
        write_private(path, json.dumps(kept, indent=1))
    return kept


def lock(directory: Path, running: Running) -> int | None:
    """Claim the directory for this process; None if another one runs. The kernel drops the claim however we end."""
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps({"pid": running.pid, "url": running.url}).encode(), 0)
    return handle


def running(directory: Path) -> Running | None:
    """Who holds the directory, if its supervisor is alive."""
    try:
        handle = os.open(directory / "lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_running(handle)
    finally:
        os.close(handle)
    return None


def publish(directory: Path, variables: Mapping[str, str]) -> None:
    write_private(directory / "env.json", json.dumps(dict(variables), indent=1))


def withdraw(directory: Path) -> None:
    (directory / "env.json").unlink(missing_ok=True)


def discover() -> dict[str, str]:
    """What a running `make dev` of this checkout published; {} when none is alive or it belongs to another user."""
    directory = state_dir()
    if running(directory) is None:
        return {}
    try:
        variables: dict[str, str] = json.loads((directory / "env.json").read_text())
    except (OSError, ValueError):
        return {}
    return variables


def _read_running(handle: int) -> Running:
    try:
        found = json.loads(os.pread(handle, 4096, 0))
        return Running(int(found["pid"]), str(found["url"]))
    except (ValueError, KeyError):  # between the claim and the writing of it
        return Running(0, "")
