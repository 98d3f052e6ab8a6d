"""Traces on the local disk while Redis is away: nothing acknowledged is lost, and memory does not grow.

A process appends to one file of its own, a record a line, and keeps the file locked as long as it lives. Whoever can
take the lock of a file knows that its process is dead, and sends the file in its place.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".spool"


class SpoolFull(Exception):
    """No room for another trace: the request must be refused rather than go unrecorded."""


@dataclass(slots=True)
class _File:
    """An open file whose lock we hold."""

    path: Path
    handle: int
    size: int = 0


class Spool:
    def __init__(self, directory: Path, max_bytes: int) -> None:
        """``max_bytes`` bounds the whole directory, which the processes of a machine share."""
        self._directory = directory
        self._max_bytes = max_bytes
        self._current: _File | None = None
        self._kept: dict[Path, int] = {}  # claimed and not sent: handles with their locks

    def append(self, line: bytes) -> None:
        """The line (JSON, so without line breaks) is with the operating system when this returns. Raises SpoolFull."""
        data = line + b"\n"
        try:
            if bytes_in(self._directory) + len(data) > self._max_bytes:
                raise SpoolFull(f"{self._directory} holds its {self._max_bytes:,} bytes already")
            file = self._current = self._current or self._open()
            if os.write(file.handle, data) != len(data):
                os.ftruncate(file.handle, file.size)
                raise SpoolFull(f"{self._directory}: the disk is full")
        except OSError as error:
            raise SpoolFull(f"{self._directory}: {error.strerror}") from error
        file.size += len(data)

    def claim(self) -> Iterator["Claimed"]:
        """Oldest first: files of dead processes and this one's own, which is closed for writing by that."""
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            if self._current is not None and path == self._current.path:
                handle, self._current = self._current.handle, None
            else:
                found = self._kept.pop(path) if path in self._kept else _lock_of_dead(path)
                if found is None:
                    continue
                handle = found
            yield Claimed(path, handle, self._kept)

    def _open(self) -> _File:
        """Locked before it has its name, so that nobody ever finds it unlocked while we live."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / f"{time.time_ns():020}-{os.getpid()}{SUFFIX}"
        unnamed = path.with_suffix(".new")
        handle = os.open(unnamed, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        unnamed.rename(path)
        return _File(path, handle)


class Claimed:
    """A file to send. Leave it by ``done`` when all is sent, else by ``release``: the same process claims it again, as
    the ledger of another would not know what these traces still hold."""

    def __init__(self, path: Path, handle: int, kept: dict[Path, int]) -> None:
        self._path = path
        self._handle = handle
        self._kept = kept

    def batches(self, lines: int, max_bytes: int) -> Iterator[list[bytes]]:
        """The lines in order. A line that its process could not finish was never acknowledged: it is left out."""
        batch: list[bytes] = []
        size = 0
        with os.fdopen(os.dup(self._handle), "rb") as file:
            file.seek(0)
            for line in file:
                if line.endswith(b"\n"):
                    batch.append(line[:-1])
                    size += len(line)
                if len(batch) >= lines or size >= max_bytes:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    def done(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._handle)

    def release(self) -> None:
        self._kept[self._path] = self._handle


def bytes_in(directory: Path) -> int:
    """How much waits in a spool."""
    if not directory.exists():
        return 0
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # sent and removed by another process just now
                total += entry.stat().st_size
    return total


def _lock_of_dead(path: Path) -> int | None:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
