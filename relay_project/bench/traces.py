"""Millions of traces of one tenant, made by COPY, and how long the pages that look through them take."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import redis
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from psycopg import sql

from tenants.models import Tenant, User
from traces.core.ids import uuid7
from traces.core.rows import COLUMNS, copy_line
from traces.core.weeks import week_of
from traces.partitions import make_week
from traces.recorder import append_command, dump
from traces.rollup import statements
from traces.samples import sample_traces
from traces.writer import TraceWriter

DAYS = 30
TEMPLATES, WORDS = 4_000, 8_000
CHUNK = 5_000
RARE = "zyzzyva"  # a word that one prompt in 100,000 has
PAGES = {
    "list, 24 hours": "",
    "list, 30 days": "range=30d",
    "outcome": "range=30d&outcome=failed",
    "model": "range=30d&model=smollm2-135m",
    "deployment": "range=30d&deployment=ollama-llama",
    "key": "range=30d&key=nightly-batch",
    "key nobody has": "range=30d&key=nobody",
    "lane": "range=30d&lane=long",
    "policy": "range=30d&policy=none",
    "cache": "range=30d&cache=semantic",
    "error code": "range=30d&error=upstream_unavailable",
    "latency, many": "range=30d&latency_min=1000",
    "latency, few": "range=30d&latency_min=60000",
    "version": "range=30d&version=1",
    "version nobody has": "range=30d&version=99",
    "cost": "range=30d&cost_min=1",
    "search, request id": "q=req-0000000001aa",
    "search, end of an id": "range=30d&q=abcdef012345",
    "search, common word": "range=30d&q=w17",
    "search, rare word": f"range=30d&q={RARE}",
    "search, no match": "range=30d&q=nothing+like+this",
}


def fill(tenant: Tenant, rows: int) -> float:
    """Rows over the last 30 days, in the order of time; how many a second COPY took."""
    now = timezone.now()
    for days in range(0, DAYS + 7, 7):
        make_week(tenant.schema_name, week_of(now - timedelta(days=days)))
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in COLUMNS)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(tenant.schema_name, "traces_trace"), columns)
    began = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for chunk in _chunks(tenant, rows, now):
            copy.write(chunk)
    took = time.perf_counter() - began
    with transaction.atomic(), connection.cursor() as cursor:
        for one in statements(tenant.schema_name, sql.SQL("true")):
            cursor.execute(one)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(tenant.schema_name, "traces_trace")))
        cursor.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(tenant.schema_name, "traces_usage")))
    return rows / took


def _chunks(tenant: Tenant, rows: int, now: datetime) -> Iterator[bytes]:
    chance = Random(7)
    tails = _templates(tenant, chance)
    start, step = now.timestamp() - DAYS * 86_400, DAYS * 86_400 / rows
    lines = []
    for number in range(rows):
        at = start + number * step
        head = f"{uuid7(at, chance.randbytes(10))}\t{datetime.fromtimestamp(at, UTC).isoformat()}\treq-{number:012x}\t"
        lines.append(head.encode() + tails[int(chance.random() * TEMPLATES)])
        if len(lines) == CHUNK:
            yield b"".join(lines)
            lines = []
    yield b"".join(lines)


def _templates(tenant: Tenant, chance: Random) -> list[bytes]:
    """Lines without their first three cells. Bodies are left out, prompts are of made-up words."""
    made = []
    for record in sample_traces(now=time.time(), count=TEMPLATES, tenant=tenant.slug, schema=tenant.schema_name):
        words = [f"w{min(int(chance.paretovariate(0.7)), WORDS)}" for _ in range(chance.randint(8, 30))]
        record["prompt_line"] = " ".join(words)
        record["latency_ms"] = min(record["latency_ms"] * chance.lognormvariate(0, 0.6), 90_000)
        record["cost_microusd"] = int(chance.lognormvariate(7, 2))
        record["request_json"] = record["response_json"] = record["plan_json"] = None
        record["decision_trace_json"] = record["spans_json"] = ()
        made.append(copy_line(record).split(b"\t", 3)[3])
    return made


def page_times(tenant: Tenant, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each page, made by Django without a network, the first of each left out."""
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create_superuser("bench", email=None, password=None))
    times: dict[str, list[float]] = {}
    client.get("/admin/traces/", {"tenant": tenant.slug})  # compiles the templates
    for name, query in [*PAGES.items(), ("home, 24 hours", "home"), ("home, 30 days", "home&range=30d")]:
        address = "/admin/" if query.startswith("home") else "/admin/traces/"
        for _ in range(repeats):
            began = time.perf_counter()
            page = client.get(f"{address}?tenant={tenant.slug}&{query.removeprefix('home')}")
            times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
            if page.status_code != 200:
                raise RuntimeError(f"{name}: the page answered {page.status_code}.")
    return times


def written_a_second(tenant: Tenant, count: int) -> float:
    """Whole traces with prompts and answers, from the stream by one trace writer."""
    chance, now = Random(11), time.time()
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        made = sample_traces(now=now, count=count, tenant=tenant.slug, schema=tenant.schema_name)
        for number, record in enumerate(made):
            at = now - (count - number) / 1_000
            fresh = {"id": uuid7(at, chance.randbytes(10)), "started_at": at, "sample": False}
            client.execute_command(*append_command(dump(record | fresh)))
        writer = TraceWriter(client, "bench")
        began = time.perf_counter()
        writer.run(once=True)
        took = time.perf_counter() - began
    if writer.counts.stored != count:
        raise RuntimeError(f"Of {count:,} traces {writer.counts.stored:,} were stored.")
    return count / took
