"""PostgreSQL and Valkey that live as long as one command: for tests and checks.

`python -m relay_project.embedded.throwaway COMMAND ...` runs a command with its own servers.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from relay_project.embedded import postgres, valkey
from relay_project.embedded.ports import free_port
from relay_project.embedded.processes import Program, spawn, stop, wait_until

PASSWORD = "throwaway"
FORGOTTEN = {"PORT", "OLLAMA_HOST", "POLICY_PATH", "DATABASE_URL", "REDIS_URL"}


@dataclass(slots=True)
class Throwaway:
    """Servers for what DATABASE_URL and REDIS_URL don't name already. `environment` says where they are."""

    environment: dict[str, str] = field(default_factory=dict)
    _started: list[tuple[Program, subprocess.Popen[bytes]]] = field(default_factory=list)
    _directory: Path | None = None

    def start(self) -> None:
        self._directory = private_directory()
        self.environment = {
            "RELAY_STATE_DIR": str(self._directory),  # a `make dev` of this checkout is not found there
            "RELAY_DEBUG": "1",
            "RELAY_SECRET_KEY": "only-for-tests-" + "x" * 40,
            "RELAY_KEY_PEPPER": "only-for-tests-" + "y" * 40,
            "RELAY_CREDENTIAL_KEYS": "tests:" + "z" * 43,
        }
        if not os.environ.get("DATABASE_URL"):
            self._start_postgres(self._directory)
        if not os.environ.get("REDIS_URL"):
            self._start_valkey(self._directory)

    def stop(self) -> None:
        """Safe to call twice."""
        while self._started:
            stop(*self._started.pop(), seconds=5)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _start_postgres(self, directory: Path) -> None:
        install = postgres.installed()
        postgres.initialise(directory, PASSWORD, install)
        port = free_port()
        server = postgres.url(port, PASSWORD, "postgres")
        self._run(
            postgres.program(directory, port, install, postgres.THROWAWAY),
            lambda: postgres.started(directory) and postgres.ready(server),
        )
        postgres.create_database(port, PASSWORD)
        self.environment["DATABASE_URL"] = postgres.url(port, PASSWORD)

    def _start_valkey(self, directory: Path) -> None:
        port = free_port()
        url = valkey.url(port, PASSWORD)
        self._run(valkey.program(directory, port, PASSWORD, durable=False), lambda: valkey.ready(url))
        self.environment["REDIS_URL"] = url

    def _run(self, program: Program, ready: Callable[[], bool]) -> None:
        process = spawn(program)
        self._started.append((program, process))
        wait_until(ready, program, process, seconds=60)


def isolate() -> None:
    """Forget what the shell says about another Relay; where our own state lies stays."""
    for name in list(os.environ):
        if (name.startswith("RELAY_") and name != "RELAY_STATE_DIR") or name in FORGOTTEN:
            del os.environ[name]


def temporary_root() -> Path:
    """A folder for temporary data that PostgreSQL can reach even if it runs as `nobody`."""
    usual = Path(tempfile.gettempdir())
    return usual if postgres.server_user() is None or postgres.open_to_all(usual) else Path("/var/tmp")


def private_directory() -> Path:
    """A new temporary one; only PostgreSQL's user may pass through it, too."""
    directory = Path(tempfile.mkdtemp(prefix="relay-test-", dir=temporary_root()))
    directory.chmod(0o711 if postgres.server_user() else 0o700)
    return directory


def main() -> int:
    isolate()
    servers = Throwaway()
    try:
        servers.start()
        return subprocess.run(sys.argv[1:], env={**os.environ, **servers.environment}, check=False).returncode
    finally:
        servers.stop()


if __name__ == "__main__":
    sys.exit(main())
