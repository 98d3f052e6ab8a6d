"""What Celery does for the table of traces."""

import time

import pytest
from django_tenants.utils import tenant_context

from conftest import unique
from tenants.models import Tenant
from traces.models import Trace
from traces.store import store_traces
from traces.tasks import keep_partitions
from traces.tests.records import record_of

pytestmark = pytest.mark.usefixtures("committed")


def test_every_hour_the_weeks_are_looked_after_also_beside_a_broken_schema(tenant_a: Tenant) -> None:
    old = record_of(tenant_a, started_at=time.time() - 80 * 86_400)
    store_traces(tenant=tenant_a.slug, schema=tenant_a.schema_name, records=[old])
    slug = unique("aaa-broken")
    Tenant.objects.bulk_create([Tenant(slug=slug, name="Broken", schema_name="t_without_tables")])
    try:
        assert keep_partitions() >= 1
    finally:
        Tenant.objects.filter(slug=slug).delete()

    with tenant_context(tenant_a):
        assert not Trace.objects.filter(pk=old["id"]).exists()
