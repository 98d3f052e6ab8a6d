"""The writer as a process of its own: killed, stopped, and with its servers away. Nothing is lost, nothing doubled."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from django.conf import settings
from django_tenants.utils import tenant_context
from psycopg import sql

from conftest import eventually, unique
from tenants.services import create_tenant
from traces.models import Trace
from traces.recorder import STREAM, append_command, dump
from traces.tests.records import record_of
from traces.tests.redis_db import redis_url
from traces.writer import GROUP

Process = subprocess.Popen[bytes]


@pytest.fixture
def client() -> Iterator[Any]:
    with redis.Redis.from_url(redis_url(10)) as client:
        client.flushdb()
        yield client


@pytest.fixture
def tenant(committed: None) -> Any:
    return create_tenant(slug=unique("faults"))


@contextmanager
def writer(log: Path, **environment: str) -> Iterator[Process]:
    command = [sys.executable, "manage.py", "trace_writer"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env={**os.environ, "REDIS_URL": redis_url(10), **environment}, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def send(client: Any, tenant: Any, count: int) -> set[str]:
    records = [record_of(tenant, request_json={"n": "x" * 500}) for _ in range(count)]
    with client.pipeline(transaction=False) as pipeline:
        for record in records:
            pipeline.execute_command(*append_command(dump(record)))
        pipeline.execute()
    return {record["id"] for record in records}


def rows(tenant: Any) -> set[str]:
    with tenant_context(tenant):
        return {str(pk) for pk in Trace.objects.values_list("pk", flat=True)}


def holds(tenant: Any, count: int) -> bool:
    return len(rows(tenant)) >= count


def left(client: Any) -> int:
    return int(client.xlen(STREAM))


def test_killed_in_the_middle_of_a_load(client: Any, tenant: Any, tmp_path: Path) -> None:
    sent: set[str] = set()

    def load() -> None:
        for _ in range(40):
            sent.update(send(client, tenant, 100))

    for done in (1, 1_001):
        with writer(tmp_path / "log") as process:
            loading = threading.Thread(target=load)
            loading.start()
            eventually(partial(holds, tenant, done))
            process.kill()
            loading.join()
    with writer(tmp_path / "log"):
        eventually(lambda: not left(client))
    assert rows(tenant) == sent
    assert client.xpending(STREAM, GROUP)["pending"] == 0


def test_sigterm_ends_it_cleanly(client: Any, tenant: Any, tmp_path: Path) -> None:
    with writer(tmp_path / "log") as process:
        sent = send(client, tenant, 3)
        eventually(lambda: rows(tenant) == sent)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
    assert b"3 traces stored" in (tmp_path / "log").read_bytes()
    assert left(client) == 0


def test_postgres_away_and_back(client: Any, tenant: Any, tmp_path: Path) -> None:
    """The writer has a role of its own, which is shut out and let in again."""
    with postgres_role() as (role, url, admin), writer(tmp_path / "log", DATABASE_URL=url):
        before = send(client, tenant, 5)
        eventually(lambda: rows(tenant) == before)
        admin.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role)))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
        during = send(client, tenant, 700)
        eventually(lambda: b"PostgreSQL is away" in (tmp_path / "log").read_bytes())
        assert rows(tenant) == before
        assert left(client) == 700
        admin.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(role)))
        eventually(lambda: rows(tenant) == before | during)
        eventually(lambda: not left(client))
    told = (tmp_path / "log").read_bytes()
    assert told.count(b"PostgreSQL is away") == told.count(b"PostgreSQL is back") == 1


def test_redis_away_and_back(client: Any, tenant: Any, tmp_path: Path) -> None:
    """The writer has a user of its own, which is shut out and let in again."""
    user, parts = unique("writer"), urlsplit(redis_url(10))
    client.acl_setuser(user, enabled=True, passwords=["+pw"], keys=["*"], categories=["+@all"])
    url = parts._replace(netloc=f"{user}:pw@{parts.hostname}:{parts.port}").geturl()
    try:
        with writer(tmp_path / "log", REDIS_URL=url):
            before = send(client, tenant, 5)
            eventually(lambda: rows(tenant) == before)
            client.execute_command("ACL", "SETUSER", user, "off")
            client.execute_command("CLIENT", "KILL", "USER", user)
            during = send(client, tenant, 5)
            eventually(lambda: b"Redis is away" in (tmp_path / "log").read_bytes())
            client.execute_command("ACL", "SETUSER", user, "on")
            eventually(lambda: rows(tenant) == before | during)
    finally:
        client.acl_deluser(user)
    assert (tmp_path / "log").read_bytes().count(b"Redis is away") == 1


@contextmanager
def postgres_role() -> Iterator[tuple[str, str, psycopg.Connection]]:
    role, parts = unique("writer"), urlsplit(settings.DATABASE_URL)
    url = parts._replace(netloc=f"{role}:pw@{parts.hostname}:{parts.port}").geturl()
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD 'pw'").format(sql.Identifier(role)))
        try:
            yield role, url, admin
        finally:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
