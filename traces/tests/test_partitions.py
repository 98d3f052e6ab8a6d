"""Weekly partitions of the table of traces."""

import importlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from conftest import unique
from traces.core.weeks import Span, week_of
from traces.models import Trace
from traces.partitions import keep_ahead, make_room, make_week, partitions
from traces.store import store_traces
from traces.tests.records import record_of

pytestmark = pytest.mark.django_db
DAY = 86_400


def spans(tenant: Any) -> list[Span]:
    return [one.span for one in partitions(tenant.schema_name) if one.span]


def ids_in(tenant: Any, table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT id::text FROM "{tenant.schema_name}"."{table}"')
        return {name for (name,) in cursor.fetchall()}


def test_a_new_tenant_has_this_week_the_next_and_a_place_for_all_else(tenant_a: Any) -> None:
    now = timezone.now()
    assert {week_of(now), week_of(now + timedelta(days=7))} <= set(spans(tenant_a))
    assert "traces_trace_default" in [one.name for one in partitions(tenant_a.schema_name)]


def test_a_trace_of_a_week_without_partition_gets_one_and_is_found_by_its_id(tenant_a: Any) -> None:
    record = record_of(tenant_a, started_at=time.time() - 50 * DAY)
    began = datetime.fromtimestamp(record["started_at"], UTC)
    assert not any(span.holds(began) for span in spans(tenant_a))

    for _ in range(2):  # it comes again
        store_traces(tenant=tenant_a.slug, schema=tenant_a.schema_name, records=[record])

    assert week_of(began) in spans(tenant_a)
    assert record["id"] not in ids_in(tenant_a, "traces_trace_default")
    with tenant_context(tenant_a):
        assert Trace.objects.get(pk=record["id"]).started_at == began


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_far_off_makes_no_partition_and_loses_nothing(tenant_a: Any, days: int) -> None:
    before = spans(tenant_a)
    record = record_of(tenant_a, started_at=time.time() + days * DAY)

    store_traces(tenant=tenant_a.slug, schema=tenant_a.schema_name, records=[record])

    assert spans(tenant_a) == before
    assert record["id"] in ids_in(tenant_a, "traces_trace_default")


def test_traces_move_out_of_the_default_partition_when_their_week_is_made(tenant_a: Any) -> None:
    with tenant_context(tenant_a):
        trace = Trace.objects.create(
            id=record_of(tenant_a)["id"], started_at=timezone.now() - timedelta(days=60), status=200, latency_ms=5
        )
    assert str(trace.pk) in ids_in(tenant_a, "traces_trace_default")

    keep_ahead(tenant_a.schema_name, timezone.now())

    week = week_of(trace.started_at)
    assert week in spans(tenant_a)
    assert str(trace.pk) in ids_in(tenant_a, f"traces_trace_w{week.start:%Y%m%d}")
    make_week(tenant_a.schema_name, week)  # somebody was quicker: nothing happens


def test_a_table_that_is_busy_makes_no_trace_wait_for_its_partition(tenant_a: Any) -> None:
    began = timezone.now() - timedelta(days=70)
    with psycopg.connect(settings.DATABASE_URL) as reader:
        reader.execute(f'SELECT count(*) FROM "{tenant_a.schema_name}".traces_trace')

        make_room(tenant_a.schema_name, [began], timezone.now())

        assert week_of(began) not in spans(tenant_a)


def test_a_table_with_traces_is_partitioned_without_losing_one(tenant_a: Any) -> None:
    """The migration, in a schema as the version before made it."""
    schema, migration = unique("old").replace("-", "_"), importlib.import_module("traces.migrations.0004_partitions")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {schema}; SET LOCAL search_path TO {schema}, public")
        cursor.execute(
            f'CREATE TABLE traces_trace (LIKE "{tenant_a.schema_name}".traces_trace INCLUDING DEFAULTS);'
            "ALTER TABLE traces_trace ADD PRIMARY KEY (id);"
            "CREATE INDEX trace_newest ON traces_trace (started_at DESC, id DESC) INCLUDE (outcome);"
            "CREATE INDEX trace_outcome ON traces_trace (outcome, started_at DESC);"
            "CREATE INDEX trace_request_id ON traces_trace (request_id)"
        )
        add = """INSERT INTO traces_trace (id, started_at, request_id, outcome, status, error_code, sample, api_key,
            route, provider, deployment, model, policy, policy_version, bucket, lane, cache, stream, latency_ms,
            usage_source, cost_microusd, saved_microusd, prompt_line, reason, decision_trace_json, attempts_json,
            spans_json) SELECT gen_random_uuid(), now() - %s::interval, '', 'ok', 200, '', false, '', '', '', '', '',
            '', 0, '', '', 'off', false, 1, '', 0, 0, '', '', '[]', '[]', '[]'"""
        for age in ("1 hour", "100 days", "-20 days"):
            cursor.execute(add, [age])

        cursor.execute(migration.PARTITION)
        cursor.execute(add, ["-30 days"])  # as an old writer adds it: without the columns that came later

        cursor.execute("SELECT count(*), count(*) FILTER (WHERE endpoint = 'chat') FROM traces_trace")
        assert cursor.fetchone() == (4, 4)
        cursor.execute("SELECT count(*) FROM traces_trace_before")
        assert cursor.fetchone() == (3,)
        cursor.execute(f"DROP SCHEMA {schema} CASCADE; SET LOCAL search_path TO public")
