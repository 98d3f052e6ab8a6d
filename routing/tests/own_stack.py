"""A whole Relay that tests may kill parts of: PostgreSQL, Valkey, web, lane worker and trace writer, all processes."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from relay_project.embedded import postgres, valkey
from relay_project.embedded.ports import free_port
from relay_project.embedded.processes import Program, spawn, stop, wait_until
from relay_project.embedded.throwaway import PASSWORD, private_directory

SETUP = """
from routing.models import Deployment
from tenants.models import Quota, Tenant
from tenants.services import create_api_key
Deployment.objects.filter(slug="mock-fast").update(options={"mean_ms": 0})
tenant = Tenant.objects.get(slug="default")
row, key = create_api_key(tenant=tenant, name="limited")
Quota.objects.create(tenant=tenant, api_key=row, metric="requests", window="month", limit=1_000_000)
print(create_api_key(tenant=tenant, name="free")[1], key)
"""
# What is committed survives the death of the server, not of the machine: quicker, and all that a test can try.
SETTINGS = {"fsync": "off", "autovacuum": "off"}


class OwnStack:
    """``free`` and ``limited`` are keys: without a quota, and with one."""

    def __init__(self, directory: Path, *, setup: str = SETUP, webs: int = 1) -> None:
        """``setup`` runs in a shell and prints the two keys."""
        self._directory, self._setup = directory, setup
        self._pg_port, self._redis_port = free_port(), free_port()
        self.web_ports = [free_port() for _ in range(webs)]
        self._install = postgres.installed()
        self._running: dict[str, tuple[Program, subprocess.Popen[bytes]]] = {}
        self.spool = directory / "spool"
        self.url = f"http://127.0.0.1:{self.web_ports[0]}"
        self.database_url = postgres.url(self._pg_port, PASSWORD)
        self.redis_url = valkey.url(self._redis_port, PASSWORD)
        self.environment = {
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": self.database_url,
            "RELAY_SPOOL_DIR": str(self.spool),
            "RELAY_LOG_LEVEL": "ERROR",
        }

    def start(self) -> None:
        postgres.initialise(self._directory, PASSWORD, self._install)
        self.start_postgres()
        postgres.create_database(self._pg_port, PASSWORD)
        self.start_valkey()
        self.manage("migrate_schemas", "-v0")
        self.manage("seed", "-v0")
        self.free, self.limited = self.manage("shell", "-v0", "-c", self._setup).split()[-2:]
        self.start_lanes()
        self._start(self._python("writer", "manage.py", "trace_writer"), lambda: True)
        for number in range(len(self.web_ports)):
            self.start_web(number)
        self._http = httpx.Client(timeout=20)

    def close(self) -> None:
        with ExitStack() as closes:
            if hasattr(self, "_http"):
                closes.callback(self._http.close)
            for program, process in self._running.values():
                closes.callback(stop, program, process, seconds=5)

    def start_postgres(self) -> None:
        server = postgres.url(self._pg_port, PASSWORD, "postgres")
        self._start(
            postgres.program(self._directory, self._pg_port, self._install, SETTINGS),
            lambda: postgres.started(self._directory) and postgres.ready(server),
        )

    def start_valkey(self) -> None:
        self._start(valkey.program(self._directory, self._redis_port, PASSWORD), lambda: valkey.ready(self.redis_url))

    def start_lanes(self) -> None:
        self._start(self._python("lanes", "manage.py", "runworker", "lanes"), lambda: True)

    def start_web(self, number: int) -> None:
        port = self.web_ports[number]
        web = ("-m", "uvicorn", "relay_project.asgi:application", "--port", str(port), "--log-level", "error")
        idle = ("--timeout-keep-alive", "75")
        self._start(self._python(f"web{number}", *web, *idle), lambda: self._answers(port, "/v1/readyz"))

    def start_celery(self) -> None:
        """With its beat, as `make dev` runs it."""
        worker = ("-m", "celery", "--quiet", "-A", "relay_project", "worker", "--beat", "--concurrency", "1")
        schedule = ("--scheduler", "django_celery_beat.schedulers:DatabaseScheduler", "--loglevel", "ERROR")
        self.environment["C_FORCE_ROOT"] = "1"
        self._start(self._python("celery", *worker, *schedule), lambda: True)

    def start_evals(self) -> None:
        """A worker for eval runs."""
        worker = ("-m", "celery", "--quiet", "-A", "relay_project", "worker", "-Q", "evals", "--pool", "solo")
        self.environment |= {"C_FORCE_ROOT": "1", "RELAY_EVAL_URL": self.url}
        self._start(self._python("evals", *worker, "--loglevel", "ERROR"), lambda: True)

    def kill(self, name: str) -> None:
        """No chance to tidy up. PostgreSQL's first process is asked to kill the others, which would outlive it."""
        _, process = self._running.pop(name)
        process.send_signal(signal.SIGQUIT if name == "postgres" else signal.SIGKILL)
        process.wait()

    def ended(self) -> list[str]:
        """The programs that ended without being killed."""
        return [name for name, (_, process) in self._running.items() if process.poll() is not None]

    def ask(self, key: str, client: httpx.Client | None = None, **more: Any) -> httpx.Response:
        """``headers`` among ``more`` are sent as such; the rest goes into the body."""
        headers = {"Authorization": f"Bearer {key}", "x-relay-cache": "no-store", **more.pop("headers", {})}
        body = {"model": "mock", "messages": [{"role": "user", "content": "hello"}], **more}
        return (client or self._http).post(f"{self.url}/v1/chat/completions", json=body, headers=headers)

    def traces(self) -> set[str]:
        return {str(row[0]) for row in self.query("SELECT id FROM t_default.traces_trace")}

    def decided_by(self, trace_id: str) -> Any:
        """Who gave the request its slot; None as long as there is no trace."""
        rows = self.query("SELECT scheduler_json FROM t_default.traces_trace WHERE id = %s", trace_id)
        return rows[0][0]["decided_by"] if rows else None

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as database:
            return database.execute(text, values).fetchall()

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _python(self, name: str, *arguments: str) -> Program:
        return Program(name=name, argv=(sys.executable, *arguments), env=self.environment)

    def _start(self, program: Program, ready: Callable[[], bool]) -> None:
        process = spawn(program)
        self._running[program.name] = program, process
        wait_until(ready, program, process, seconds=60)

    def _answers(self, port: int, path: str) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def own_stack(*, setup: str = SETUP, webs: int = 1) -> Iterator[OwnStack]:
    """Started; nothing is left of it afterwards."""
    directory = private_directory()
    try:
        with closing(OwnStack(directory, setup=setup, webs=webs)) as stack:
            stack.start()
            yield stack
    finally:
        shutil.rmtree(directory, ignore_errors=True)
