"""What goes on when a part of the platform is gone: on servers of this module's own, which it may kill."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from conftest import eventually
from relay_project.embedded import valkey
from relay_project.embedded.ports import free_port
from relay_project.embedded.processes import Program, spawn, stop, wait_until
from relay_project.embedded.throwaway import PASSWORD

SETUP = """
from routing.models import Deployment
from tenants.models import Quota, Tenant
from tenants.services import create_api_key
Deployment.objects.filter(slug="mock-fast").update(options={"mean_ms": 0})
tenant = Tenant.objects.get(slug="default")
row, key = create_api_key(tenant=tenant, name="limited")
Quota.objects.create(tenant=tenant, api_key=row, metric="requests", window="month", limit=1000)
print(create_api_key(tenant=tenant, name="free")[1], key)
"""
HEADERS = {"x-relay-cache": "no-store"}


class OwnStack:
    """A database of its own on the run's PostgreSQL, and a Valkey, a web server and workers that a test may kill."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._port, self.web_port = directory, free_port(), free_port()
        self._running: dict[str, tuple[Program, subprocess.Popen[bytes]]] = {}
        self.redis_url = valkey.url(self._port, PASSWORD)
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
            admin.execute("DROP DATABASE IF EXISTS relay_faults WITH (FORCE)")
            admin.execute("CREATE DATABASE relay_faults")
        self.database_url = os.environ["DATABASE_URL"].rpartition("/")[0] + "/relay_faults"
        spool = str(directory / "spool")
        self.environment = {
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": self.database_url,
            "RELAY_SPOOL_DIR": spool,
            "RELAY_LOG_LEVEL": "ERROR",
        }

    def start_valkey(self) -> None:
        self._start(
            valkey.program(self._directory, self._port, PASSWORD, durable=True), lambda: valkey.ready(self.redis_url)
        )

    def start(self) -> None:
        self.start_valkey()
        self.manage("migrate_schemas", "-v0")
        self.manage("seed", "-v0")
        self.free, self.limited = self.manage("shell", "-v0", "-c", SETUP).split()[-2:]
        self._start(self._python("lanes", "manage.py", "runworker", "lanes"), lambda: True)
        self._start(self._python("writer", "manage.py", "trace_writer"), lambda: True)
        web = ("-m", "uvicorn", "relay_project.asgi:application", "--port", str(self.web_port), "--log-level", "error")
        self._start(self._python("web", *web), lambda: self._answers("/health"))
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.web_port}", timeout=20)

    def close(self) -> None:
        with ExitStack() as closes:
            if hasattr(self, "http"):
                closes.callback(self.http.close)
            for program, process in self._running.values():
                closes.callback(stop, program, process, seconds=5)

    def kill(self, name: str) -> None:
        _, process = self._running.pop(name)
        process.kill()
        process.wait()

    def ask(self, key: str) -> httpx.Response:
        body = {"model": "mock", "messages": [{"role": "user", "content": "hello"}]}
        headers = {"Authorization": f"Bearer {key}", **HEADERS}
        return self.http.post("/v1/chat/completions", json=body, headers=headers)

    def traces(self) -> set[str]:
        with psycopg.connect(self.database_url) as database:
            return {str(row[0]) for row in database.execute("SELECT id FROM t_default.traces_trace")}

    def scheduled(self, trace_id: str) -> Any:
        with psycopg.connect(self.database_url) as database:
            query = "SELECT scheduler_json FROM t_default.traces_trace WHERE id = %s"
            row = database.execute(query, [trace_id]).fetchone()
        return row[0] if row else None

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _python(self, name: str, *arguments: str) -> Program:
        return Program(name=name, argv=(sys.executable, *arguments), env=self.environment)

    def _start(self, program: Program, ready: Any) -> None:
        process = spawn(program)
        self._running[program.name] = program, process
        wait_until(ready, program, process, seconds=40)

    def _answers(self, path: str) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.web_port}{path}", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStack]:
    with closing(OwnStack(tmp_path_factory.mktemp("faults"))) as stack:
        stack.start()
        yield stack


def test_valkey_killed_and_back(own: OwnStack) -> None:
    answered = [own.ask(own.free) for _ in range(5)]
    own.kill("valkey")
    while_away = [own.ask(own.free) for _ in range(10)]
    limited = own.ask(own.limited)
    own.start_valkey()
    answered += while_away
    answered += [eventually(lambda: _good(own.ask(own.limited)))]
    assert {one.status_code for one in answered} == {200}, "who has no quota is served on"
    assert limited.status_code == 503 and int(limited.headers["retry-after"]) >= 1
    wanted = {one.headers["x-relay-trace-id"] for one in answered}
    eventually(lambda: wanted <= own.traces(), within_s=20)


def test_postgresql_drops_every_connection(own: OwnStack) -> None:
    """What clients feel of a restart: every connection is cut, and new ones are refused for a while."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute("ALTER DATABASE relay_faults ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'relay_faults'")
        answered = [own.ask(own.free) for _ in range(10)]
        admin.execute("ALTER DATABASE relay_faults ALLOW_CONNECTIONS true")
    assert {one.status_code for one in answered} == {200}, "known keys are served on"
    wanted = {one.headers["x-relay-trace-id"] for one in answered}
    eventually(lambda: wanted <= own.traces(), within_s=20)


def test_the_lane_worker_killed(own: OwnStack) -> None:
    def decided_by() -> Any:
        answer = own.ask(own.free)
        assert answer.status_code == 200
        return eventually(lambda: own.scheduled(answer.headers["x-relay-trace-id"]))["decided_by"]

    eventually(lambda: decided_by() == "in-process", within_s=20)
    own.kill("lanes")
    eventually(lambda: decided_by() == "last-share", within_s=20)


def _good(answer: httpx.Response) -> Any:
    return answer if answer.status_code == 200 else None
