"""Counters made anew from what PostgreSQL and the stream hold."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import OperationalError, connection

from conftest import eventually, unique
from tenants.core.limits import Limit, counter_of
from tenants.models import QuotaReset
from tenants.scripts import EPOCH, LOCK, SAY_AGAIN, settled_key
from traces.rebuild import rebuild
from traces.recent import AGAIN, Recent
from traces.recorder import DEAD, append_command, dump
from traces.store import store_traces
from traces.tests.records import record_of
from traces.tests.redis_db import redis_url
from traces.writer import TraceWriter

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def client() -> Iterator[Any]:
    with redis.Redis.from_url(redis_url(6)) as client:
        client.flushdb()
        yield client


def charged(tenant: Any, key_id: str, deployment: str = "", **columns: Any) -> dict[str, Any]:
    """A trace of one request with 30 tokens for 70 micro-dollars."""
    attempt = {"deployment": deployment, "charged": {"requests": 1, "tokens": 30, "cost": 70, "neurons": 2_500_000}}
    figures = {"charged_requests": 1, "charged_tokens": 30, "cost_microusd": 70, "attempts_json": [attempt]}
    return record_of(tenant, **{"key_id": key_id, **figures, **columns})


def store(tenant: Any, *records: dict[str, Any]) -> None:
    store_traces(tenant=tenant.slug, schema=tenant.schema_name, records=records)


def send(client: Any, *records: dict[str, Any]) -> None:
    for record in records:
        client.execute_command(*append_command(dump(record)))


def limit_of(metric: str, **whose: Any) -> Limit:
    return Limit(unique("q"), metric, "month", 10**9, **whose)


def used(client: Any, limit: Limit) -> int:
    generation = client.hget(EPOCH, "g").decode()
    return int(client.hget(counter_of(limit, time.time()).key, f"s{generation}") or 0)


def test_rows_and_what_is_still_in_the_stream_are_counted_once_each(client: Any, tenant_a: Any, tenant_b: Any) -> None:
    key, other, deployment = unique("k"), unique("k"), unique("d")
    both, row, waiting, buried = (charged(tenant_a, key, deployment) for _ in range(4))
    store(tenant_a, both, row, charged(tenant_a, other, deployment))
    store(tenant_a, charged(tenant_a, key, deployment, sample=True))
    store(tenant_a, charged(tenant_a, key, deployment, started_at=time.time() - 40 * 86_400))
    store(tenant_b, charged(tenant_b, key, deployment))
    send(client, both, waiting, waiting)
    client.xadd(DEAD, {"d": dump(buried), "error": "e", "entry": "1-1"})
    client.xadd(DEAD, {"d": b"garbage", "error": "e", "entry": "1-2"})
    limits = {
        "key": limit_of("cost", tenant="acme", api_key=key),
        "requests": limit_of("requests", tenant="acme", api_key=key),
        "stranger": limit_of("tokens", tenant="globex", api_key=other),
        "deployment": limit_of("neurons", deployment=deployment),
        "calls": limit_of("requests", deployment=deployment),
    }
    assert rebuild(client, list(limits.values()), grace_s=0)
    assert {name: used(client, limit) for name, limit in limits.items()} == {
        "key": 4 * 70,
        "requests": 4,
        "stranger": 0,
        "deployment": 6 * 2_500_000,
        "calls": 6,
    }


def test_a_tenants_limit_counts_all_of_its_keys_and_nobody_elses(client: Any, tenant_a: Any, tenant_b: Any) -> None:
    mine, theirs = limit_of("requests", tenant="acme"), limit_of("requests", tenant="globex")
    assert rebuild(client, [mine, theirs], grace_s=0)
    before = used(client, mine), used(client, theirs)
    store(tenant_a, charged(tenant_a, unique("k")), charged(tenant_a, unique("k")))
    client.delete(EPOCH)
    assert rebuild(client, [mine, theirs], grace_s=0)
    assert (used(client, mine), used(client, theirs)) == (before[0] + 2, before[1])


def test_what_was_reset_stays_reset(client: Any, tenant_a: Any) -> None:
    limit, now = limit_of("tokens", tenant="acme", api_key=unique("k")), time.time()
    store(tenant_a, *(charged(tenant_a, limit.api_key) for _ in range(3)))
    for start, amount in ((counter_of(limit, now).start, 60), (0, 1_000)):
        QuotaReset.objects.create(
            tenant=tenant_a,
            limit_key=limit.name,
            limit_name="tokens",
            window_start=datetime.fromtimestamp(start, UTC),
            amount=amount,
            author="root",
        )
    assert rebuild(client, [limit], grace_s=0)
    assert used(client, limit) == 3 * 30 - 60


def test_what_processes_say_again_is_counted_and_stored(client: Any, tenant_a: Any) -> None:
    """As after a loss: of three traces one was stored before, and one came after it and is counted already."""
    limit = limit_of("requests", tenant="acme", api_key=unique("k"))
    stored, lost, later = (charged(tenant_a, limit.api_key) for _ in range(3))
    store(tenant_a, stored)
    client.set(settled_key(later["id"]), "")
    client.script_load(SAY_AGAIN.text)
    recent = Recent()
    for record in (stored, lost, later):
        recent.keep(record["id"], dump(record), 0.0)
    for command in recent.commands():
        client.execute_command(*command)
    assert rebuild(client, [limit], grace_s=0)
    assert used(client, limit) == 2
    assert not client.xlen(AGAIN)
    writer = TraceWriter(client, "one")
    writer.run(once=True)
    assert (writer.counts.stored, writer.counts.known) == (1, 1)


def test_of_many_who_notice_one_counts(client: Any, tenant_a: Any) -> None:
    done: list[bool] = []

    def notice() -> None:
        with redis.Redis.from_url(redis_url(6)) as own:
            done.append(rebuild(own, [], grace_s=0.05))

    threads = [threading.Thread(target=notice) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done) == [False, False, False, True]


def test_meanwhile_no_trace_moves_from_the_stream_to_rows(client: Any, tenant_a: Any) -> None:
    send(client, charged(tenant_a, unique("k")))
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as rebuilding:
        rebuilding.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        with redis.Redis.from_url(redis_url(6)) as own:
            writer = TraceWriter(own, "one")

            def write() -> None:
                with closing(connection):
                    writer.run(once=True)

            thread = threading.Thread(target=write)
            thread.start()
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            eventually(lambda: rebuilding.execute(waiting).fetchone() == (1,))
            assert writer.counts.stored == 0
            rebuilding.execute("SELECT pg_advisory_unlock_all()")
            thread.join(20)
            assert writer.counts.stored == 1


def test_a_server_that_is_emptied_meanwhile_is_not_opened(client: Any, tenant_a: Any) -> None:
    class Emptied(redis.Redis):
        """Loses its data between the two scripts."""

        def xrange(self, *args: Any, **kwargs: Any) -> Any:
            found = super().xrange(*args, **kwargs)
            self.flushdb()
            return found

    with Emptied.from_url(redis_url(6)) as emptied, pytest.raises(redis.RedisError):
        rebuild(emptied, [], grace_s=0)
    assert client.hget(EPOCH, "live") is None
    assert rebuild(client, [], grace_s=0), "the lock is free again"


def test_postgresql_away_leaves_the_counters_closed(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    with pytest.raises(OperationalError):
        rebuild(client, [], grace_s=0)
    assert not client.exists(EPOCH)
