"""Hourly usage: each trace once, whatever happens, and readable in any grouping."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DataError

from conftest import unique
from traces.store import store_traces
from traces.tests.records import record_of
from traces.usage import Groups, Sums, usage

pytestmark = pytest.mark.django_db
HOUR = datetime(2026, 1, 5, 10, tzinfo=UTC)


def store(tenant: Any, *records: dict[str, Any]) -> None:
    store_traces(tenant=tenant.slug, schema=tenant.schema_name, records=records)


def record(tenant: Any, minute: float = 0.0, **columns: Any) -> dict[str, Any]:
    return record_of(tenant, started_at=HOUR.timestamp() + minute * 60, policy="p", **columns)


def sums(*tenants: Any, by: tuple[str, ...] = (), hours: int = 24, **only: Any) -> list[Sums]:
    schemas = {tenant.slug: tenant.schema_name for tenant in tenants}
    groups = Groups(by=by, since=HOUR, step_s=3600)
    return usage(schemas, since=HOUR, until=HOUR + timedelta(hours=hours), groups=groups, only=only)


def test_a_trace_that_comes_again_is_counted_once(tenant_a: Any) -> None:
    one, two, three = (record(tenant_a, tokens_in=10, tokens_out=5, cost_microusd=7) for _ in range(3))
    store(tenant_a, one, two)
    store(tenant_a, two, three)
    store(tenant_a, one, two, three)

    (found,) = sums(tenant_a)

    assert (found.requests, found.tokens_in, found.tokens, found.cost_microusd) == (3, 30, 45, 21)
    assert sum(found.latency) == 3


def test_a_batch_that_fails_counts_nothing(tenant_a: Any) -> None:
    with pytest.raises(DataError):
        store(tenant_a, record(tenant_a), record(tenant_a, status=10**6))

    assert sums(tenant_a) == []


def test_usage_is_told_by_hour_and_by_names(tenant_a: Any) -> None:
    store(
        tenant_a,
        record(tenant_a, 0, model="a", latency_ms=100, ttft_ms=50),
        record(tenant_a, 59.99, model="a", latency_ms=100),
        record(tenant_a, 60, model="b", latency_ms=9_000, outcome="failed", sample=True),
    )

    assert [(one.names, one.requests) for one in sums(tenant_a, by=("hour",))] == [
        ((HOUR,), 2),
        ((HOUR + timedelta(hours=1),), 1),
    ]
    by_model = {one.names: one for one in sums(tenant_a, by=("step", "model"))}
    assert by_model[0, "a"].p95 == pytest.approx(100, rel=0.13)
    assert by_model[0, "a"].ttft_p50 == pytest.approx(50, rel=0.13)
    assert by_model[1, "b"].failed_share == by_model[1, "b"].samples == 1
    assert by_model[1, "b"].ttft_p50 is None
    assert [one.requests for one in sums(tenant_a, by=("day",))] == [3]
    assert [one.requests for one in sums(tenant_a, hours=1)] == [2]
    assert [one.requests for one in sums(tenant_a, model=["b", "c"])] == [1]


def test_nobody_fills_the_table_with_made_up_routes(tenant_a: Any) -> None:
    junk = [record_of(tenant_a, started_at=HOUR.timestamp(), route=unique("junk")) for _ in range(5)]

    store(tenant_a, *junk)

    assert [(one.names, one.requests) for one in sums(tenant_a, by=("route",))] == [(("",), 5)]


def test_several_tenants_are_told_apart(tenant_a: Any, tenant_b: Any) -> None:
    store(tenant_a, record(tenant_a))
    store(tenant_b, record(tenant_b), record(tenant_b))

    found = {one.names[0]: one.requests for one in sums(tenant_a, tenant_b, by=("tenant",))}

    assert found == {tenant_a.slug: 1, tenant_b.slug: 2}
    assert sums() == []


def test_a_column_that_does_not_exist_is_no_way_into_the_statement(tenant_a: Any) -> None:
    with pytest.raises(ValueError, match="no column"):
        sums(tenant_a, by=('hour"; DROP TABLE x',))
    with pytest.raises(ValueError, match="no column"):
        usage({"a": "a"}, since=HOUR, until=HOUR, groups=Groups(), only={"true OR model": "x"})


def test_the_sums_are_those_of_the_traces(tenant_a: Any) -> None:
    """PostgreSQL and Python put a latency into the same bucket."""
    values = [0.2, 1, 1.1, 1.13, 7, 63.9, 400, 12_345, 899_999, 2_000_000]
    store(tenant_a, *(record(tenant_a, latency_ms=value) for value in values))

    (found,) = sums(tenant_a)

    lowest = [2 ** (bucket / 6) for bucket in range(120)]
    expected = [
        sum(1 for v in values if max([b for b in range(120) if lowest[b] <= v] or [0]) == b) for b in range(120)
    ]
    assert list(found.latency) == expected
