"""A whole Relay of a test module's own, of which it may kill any part."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg

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

    def __init__(self, directory: Path, *, setup: str = SETUP, webs: int = 1) -> None:
        """``setup`` runs in a shell and prints two API keys, of whom the second has quotas."""
        self._directory, self._port, self._setup = directory, free_port(), setup
        self.web_ports = [free_port() for _ in range(webs)]
        self._running: dict[str, tuple[Program, subprocess.Popen[bytes]]] = {}
        self.redis_url = valkey.url(self._port, PASSWORD)
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
            admin.execute("DROP DATABASE IF EXISTS relay_own WITH (FORCE)")
            admin.execute("CREATE DATABASE relay_own")
        self.database_url = os.environ["DATABASE_URL"].rpartition("/")[0] + "/relay_own"
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
        self.free, self.limited = self.manage("shell", "-v0", "-c", self._setup).split()[-2:]
        self.start_lanes()
        self._start(self._python("writer", "manage.py", "trace_writer"), lambda: True)
        for number in range(len(self.web_ports)):
            self.start_web(number)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.web_ports[0]}", timeout=20)

    def start_lanes(self) -> None:
        self._start(self._python("lanes", "manage.py", "runworker", "lanes"), lambda: True)

    def start_web(self, number: int) -> None:
        port = self.web_ports[number]
        web = ("-m", "uvicorn", "relay_project.asgi:application", "--port", str(port), "--log-level", "error")
        self._start(self._python(f"web{number}", *web), lambda: self._answers(port, "/v1/readyz"))

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

    def _answers(self, port: int, path: str) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False
