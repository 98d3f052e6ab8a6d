"""From the stream into the tenants' schemas, with a real Valkey and PostgreSQL."""

import io
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import orjson
import pytest
import redis
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from conftest import eventually, unique
from tenants.models import ApiKey
from tenants.services import create_api_key
from traces.models import Trace
from traces.recent import FIELD
from traces.recorder import DEAD, STREAM, append_command, dump
from traces.store import store_traces
from traces.tests.records import record_of
from traces.tests.redis_db import redis_url
from traces.writer import GATHER_S, GROUP, TraceWriter, retry_dead


@pytest.fixture
def client() -> Iterator[Any]:
    with redis.Redis.from_url(redis_url(9)) as client:
        client.flushdb()
        yield client


def send(client: Any, *records: dict[str, Any]) -> None:
    for record in records:
        client.execute_command(*append_command(dump(record)))


def write(client: Any, name: str = "one") -> TraceWriter:
    writer = TraceWriter(client, name)
    writer.run(once=True)
    return writer


def stored(tenant: Any, *records: dict[str, Any]) -> set[str]:
    with tenant_context(tenant):
        return {
            str(pk)
            for pk in Trace.objects.filter(pk__in=[record["id"] for record in records]).values_list("pk", flat=True)
        }


def test_a_trace_arrives_as_it_was_recorded(client: Any, tenant_a: Any) -> None:
    said = {"messages": [{"role": "user", "content": 'tab\t, line\n, "quote", back\\slash, nul\x00, ünï 🙂'}]}
    record = record_of(tenant_a, request_json=said, prompt_line="tab\tand \\N", tokens_in=12, cost_microusd=34)
    send(client, record)
    assert write(client).counts.stored == 1
    with tenant_context(tenant_a):
        trace = Trace.objects.get(pk=record["id"])
    assert trace.request_json is not None
    assert trace.request_json["messages"][0]["content"] == said["messages"][0]["content"].replace("\x00", "\ufffd")
    assert trace.prompt_line == "tab\tand \\N"
    assert (trace.tokens_in, trace.cost_microusd, trace.latency_ms, trace.response_json) == (12, 34, 250.0, None)
    assert abs(trace.started_at.timestamp() - record["started_at"]) < 1e-5
    assert client.xlen(STREAM) == 0
    assert client.xpending(STREAM, GROUP)["pending"] == 0


def test_traces_that_trickle_in_share_their_transactions(client: Any, tenant_a: Any) -> None:
    batches: list[int] = []
    writer, records = TraceWriter(client, "one", lambda told: batches.append(len(told))), 60

    def run() -> None:
        with closing(connection):
            writer.run()

    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            for _ in range(records):
                send(client, record_of(tenant_a))
                time.sleep(0.01)
            eventually(lambda: sum(batches) == records)
        finally:
            writer.stop()
        running.result()
    assert len(batches) <= (time.monotonic() - began) / GATHER_S + 1


def test_each_tenants_traces_land_in_its_own_schema_only(client: Any, tenant_a: Any, tenant_b: Any) -> None:
    ours, theirs = record_of(tenant_a), record_of(tenant_b)
    send(client, ours, theirs)
    write(client)
    assert stored(tenant_a, ours, theirs) == {ours["id"]}
    assert stored(tenant_b, ours, theirs) == {theirs["id"]}


def test_a_record_that_names_another_tenants_schema_is_not_written_there(
    client: Any, tenant_a: Any, tenant_b: Any
) -> None:
    forged = record_of(tenant_a) | {"schema": tenant_b.schema_name}
    send(client, forged)
    assert write(client).counts.dead == 1
    assert not stored(tenant_a, forged) | stored(tenant_b, forged)


def test_what_comes_twice_is_stored_once(client: Any, tenant_a: Any) -> None:
    record, other = record_of(tenant_a), record_of(tenant_a)
    send(client, record, record)
    write(client)
    send(client, record, other)
    counts = write(client).counts
    assert (counts.stored, counts.known) == (1, 1)
    assert stored(tenant_a, record, other) == {record["id"], other["id"]}


def test_poison_stops_nobody_and_is_set_aside(client: Any, tenant_a: Any) -> None:
    good = [record_of(tenant_a) for _ in range(5)]
    poison = [
        record_of(tenant_a) | {"id": "not-a-uuid"},
        record_of(tenant_a) | {"tokens_in": 1 << 40},
        record_of(tenant_a) | {"status": None},
        record_of(tenant_a) | {"tenant": "gone", "schema": "t_gone"},
        record_of(tenant_a) | {"tenant": "public", "schema": "public"},
    ]
    send(client, good[0], poison[0], good[1], poison[1], poison[2], good[2], poison[3], good[3], poison[4])
    client.xadd(STREAM, {FIELD: b"{not json"})
    client.xadd(STREAM, {"other": b"field"})
    send(client, good[4])
    counts = write(client).counts
    assert (counts.stored, counts.dead) == (5, 7)
    assert stored(tenant_a, *good) == {record["id"] for record in good}
    assert client.xlen(STREAM) == 0
    errors = [fields[b"error"].decode() for _, fields in client.xrange(DEAD)]
    assert len(errors) == 7
    assert any("uuid" in error for error in errors)
    assert any("gone" in error for error in errors)


def test_an_error_quotes_no_content(client: Any, tenant_a: Any, caplog: pytest.LogCaptureFixture) -> None:
    send(client, record_of(tenant_a, request_json={"say": "hunter2"}) | {"tokens_in": 1 << 40})
    write(client)
    assert "could not be stored" in caplog.text
    assert all("hunter2" not in str(vars(line)) for line in caplog.records)


def test_what_was_set_aside_can_be_tried_again(client: Any, tenant_a: Any) -> None:
    record = record_of(tenant_a)
    client.xadd(DEAD, {FIELD: orjson.dumps(record), "error": "the column did not exist yet", "entry": "1-1"})
    assert retry_dead(client) == 1
    assert write(client).counts.stored == 1
    assert stored(tenant_a, record)
    assert client.xlen(DEAD) == 0


def test_a_writer_finishes_what_it_had_when_it_died(client: Any, tenant_a: Any) -> None:
    first, second = record_of(tenant_a), record_of(tenant_a)
    client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    send(client, first)
    client.xreadgroup(GROUP, "one", {STREAM: ">"})  # delivered to "one", which dies before it stores it
    send(client, second)
    assert write(client, "two").counts.stored == 1
    assert write(client, "one").counts.stored == 1
    assert stored(tenant_a, first, second) == {first["id"], second["id"]}


def test_what_a_dead_writer_had_is_claimed_by_another(client: Any, tenant_a: Any) -> None:
    record = record_of(tenant_a)
    client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    send(client, record)
    [[_, [(entry, _)]]] = client.xreadgroup(GROUP, "dead", {STREAM: ">"})
    client.xclaim(STREAM, GROUP, "dead", 0, [entry], idle=31_000)
    assert write(client, "other").counts.stored == 1
    assert stored(tenant_a, record)


def test_entries_removed_behind_our_back_are_forgotten(client: Any, tenant_a: Any) -> None:
    client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    send(client, record_of(tenant_a))
    [[_, [(entry, _)]]] = client.xreadgroup(GROUP, "one", {STREAM: ">"})
    client.xdel(STREAM, entry)
    assert write(client).counts.dead == 0
    assert client.xpending(STREAM, GROUP)["pending"] == 0


def test_keys_learn_when_they_were_used(client: Any, tenant_a: Any, tenant_b: Any) -> None:
    name = unique("key")
    ours, _ = create_api_key(tenant=tenant_a, name=name)
    theirs, _ = create_api_key(tenant=tenant_b, name=name)
    now = timezone.now().timestamp()
    send(
        client,
        record_of(tenant_a, api_key=name, started_at=now),
        record_of(tenant_a, api_key=name, started_at=now - 300),
    )
    write(client)
    used = ApiKey.objects.get(pk=ours.pk).last_used_at
    assert used is not None and abs(used.timestamp() - now) < 0.001
    assert ApiKey.objects.get(pk=theirs.pk).last_used_at is None
    send(client, record_of(tenant_a, api_key=name, started_at=now + 30))
    write(client)
    assert ApiKey.objects.get(pk=ours.pk).last_used_at == used  # at most once a minute
    send(client, record_of(tenant_a, api_key=name, started_at=now + 90))
    write(client)
    later = ApiKey.objects.get(pk=ours.pk).last_used_at
    assert later is not None and later > used


def test_sample_data_is_nobodys_use_of_a_key(tenant_a: Any) -> None:
    key, _ = create_api_key(tenant=tenant_a, name=unique("key"))
    record = record_of(tenant_a, api_key=key.name, sample=True)
    store_traces(tenant=tenant_a.slug, schema=tenant_a.schema_name, records=[record])
    assert ApiKey.objects.get(pk=key.pk).last_used_at is None


def test_redis_without_its_data_is_begun_anew(client: Any, tenant_a: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "relay.traces.writer")
    writer = write(client)
    client.flushdb()
    record = record_of(tenant_a)
    send(client, record)
    writer.run(once=True)
    assert stored(tenant_a, record)
    assert [line.getMessage().split(":")[0] for line in caplog.records] == ["Redis is away", "Redis is back"]


def test_the_command_drains_the_stream_and_ends(tenant_a: Any, settings: Any, client: Any) -> None:
    settings.REDIS_URL = redis_url(9)
    record = record_of(tenant_a)
    client.xadd(DEAD, {FIELD: orjson.dumps(record), "error": "", "entry": "1-1"})
    said = io.StringIO()
    call_command("trace_writer", "--once", "--retry-dead", stdout=said, stderr=io.StringIO())
    assert said.getvalue() == "1 traces stored, 0 known already, 0 set aside\n"
    assert stored(tenant_a, record)
