"""The processes around the measurement: the upstream, and Relay as `make dev` runs it, but for the model and Celery."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

from relay_project.bench.cores import take_core
from relay_project.embedded.ports import is_free
from relay_project.embedded.processes import Program, spawn, stop, wait_until
from relay_project.embedded.state import CHECKOUT

START_S = 30.0


@contextmanager
def upstream(port: int) -> Iterator[None]:
    program = _python("upstream", "-m", "relay_project.bench.upstream", str(port))
    with _running(program) as process:
        wait_until(lambda: not is_free(port), program, process, START_S)
        yield


@contextmanager
def relay(port: int) -> Iterator[int]:
    """The lane worker, the trace writer and one web process, whose id this gives."""
    web = _python(
        "web",
        *("-m", "uvicorn", "relay_project.asgi:application", "--host", "127.0.0.1", "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    )
    with (
        _running(_python("lanes", "manage.py", "runworker", "lanes")),
        _running(_python("traces", "manage.py", "trace_writer")),
        _running(web) as process,
    ):
        take_core(0, process.pid)
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/v1/readyz"), web, process, START_S)
        yield process.pid


@contextmanager
def _running(program: Program) -> Iterator["subprocess.Popen[bytes]"]:
    process = spawn(program, stdout=sys.stderr.fileno())
    try:
        yield process
    finally:
        stop(program, process, seconds=8)


def _python(name: str, *arguments: str) -> Program:
    return Program(name=name, argv=(sys.executable, *arguments), cwd=CHECKOUT)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
