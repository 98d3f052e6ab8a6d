"""Traces go when their time is over, week by week; hourly usage stays."""

import time
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_tenants.utils import tenant_context

from conftest import unique
from tenants.models import Tenant
from tenants.services import create_tenant
from traces.core.weeks import week_of
from traces.models import Trace, Usage
from traces.retention import expired, prune
from traces.store import store_traces
from traces.tests.records import record_of

pytestmark = pytest.mark.django_db
DAY = 86_400


@pytest.fixture(scope="module")
def tenant_a(committed: None) -> Tenant:
    """Of this module's own: its weeks are counted."""
    return create_tenant(slug=unique("archive"), name="Archive")


@pytest.fixture
def old_and_new(tenant_a: Tenant) -> tuple[str, str]:
    """Ids of a trace of 80 days ago and of one of just now."""
    records = [record_of(tenant_a, started_at=time.time() - days * DAY, policy="p") for days in (80, 0)]
    store_traces(tenant=tenant_a.slug, schema=tenant_a.schema_name, records=records)
    return records[0]["id"], records[1]["id"]


def stored(tenant: Tenant) -> set[str]:
    with tenant_context(tenant):
        return {str(pk) for pk in Trace.objects.values_list("pk", flat=True)}


def summed(tenant: Tenant) -> int:
    with tenant_context(tenant):
        return Usage.objects.count()


def test_weeks_that_are_over_go_and_their_usage_stays(tenant_a: Tenant, old_and_new: tuple[str, str]) -> None:
    old, new = old_and_new
    usage = summed(tenant_a)

    gone = prune(tenant_a, timezone.now())

    assert [week.span for week in gone.weeks] == [week_of(timezone.now() - timedelta(days=80))]
    assert old not in stored(tenant_a)
    assert new in stored(tenant_a)
    assert summed(tenant_a) == usage
    assert not prune(tenant_a, timezone.now()).weeks


def test_a_tenants_own_time_goes_before_the_platforms(tenant_a: Tenant, old_and_new: tuple[str, str]) -> None:
    tenant = Tenant.objects.get(pk=tenant_a.pk)
    tenant.trace_days = 100

    assert not prune(tenant, timezone.now()).weeks


def test_the_present_month_stays_however_short_the_time(tenant_a: Tenant) -> None:
    tenant = Tenant.objects.get(pk=tenant_a.pk)
    tenant.trace_days = 1
    end_of_month = datetime(2026, 11, 30, 23, tzinfo=UTC)

    assert all(
        week.span and week.span.end < datetime(2026, 11, 1, tzinfo=UTC) for week in expired(tenant, end_of_month).weeks
    )
    assert expired(tenant, end_of_month).kept_from < datetime(2026, 10, 31, tzinfo=UTC)


def test_what_lies_in_no_week_goes_one_by_one(tenant_a: Tenant) -> None:
    ancient = record_of(tenant_a, started_at=time.time() - 500 * DAY)
    store_traces(tenant=tenant_a.slug, schema=tenant_a.schema_name, records=[ancient])

    assert prune(tenant_a, timezone.now()).strays == 1
    assert ancient["id"] not in stored(tenant_a)


def test_a_dry_run_says_what_would_go(tenant_a: Tenant, old_and_new: tuple[str, str]) -> None:
    said = StringIO()
    call_command("prune_traces", tenant_a.slug, "--dry-run", stdout=said)

    assert f"would go: traces_trace_w{week_of(timezone.now() - timedelta(days=80)).start:%Y%m%d}" in said.getvalue()
    assert old_and_new[0] in stored(tenant_a)
    with pytest.raises(CommandError, match="no tenant"):
        call_command("prune_traces", "nobody")
