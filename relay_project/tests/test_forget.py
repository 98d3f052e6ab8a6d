import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from django_tenants.utils import tenant_context

from caching.models import SemanticEntry
from tenants.models import Membership, Tenant, User
from traces.models import Trace
from traces.tests.rows import make_trace

pytestmark = pytest.mark.django_db


def entry_of(tenant: Tenant) -> uuid.UUID:
    with tenant_context(tenant):
        entry = SemanticEntry.objects.create(
            id=uuid.uuid4(),
            created_at=timezone.now(),
            expires_at=timezone.now() + timedelta(hours=1),
            scope=b"s" * 32,
            embedding=[0.1] * 384,
            question="Where is my parcel?",
            answer={},
            source_trace=uuid.uuid4(),
            policy_version=1,
        )
    return entry.id


def remembered(tenant: Tenant, entry: uuid.UUID) -> bool:
    with tenant_context(tenant):
        return SemanticEntry.objects.filter(id=entry).exists()


def signed_in(tenant: Tenant, role: str) -> Client:
    user = User.objects.create_user(f"{role}-{tenant.slug}", is_staff=True)
    Membership.objects.create(user=user, tenant=tenant, role=role)
    client = Client()
    client.force_login(user)
    return client


def near(tenant: Tenant, entry: uuid.UUID) -> Trace:
    return make_trace(tenant, cache_json={"semantic": "near", "similarity": 0.9, "entry_id": str(entry)})


def test_an_editor_forgets_the_entry_that_a_trace_came_from(tenant_a: Tenant) -> None:
    entry = entry_of(tenant_a)
    trace = near(tenant_a, entry)
    client = signed_in(tenant_a, Membership.Role.EDITOR)

    assert b"Forget entry" in client.get(f"/admin/traces/{trace.pk}/").content
    page = client.post(f"/admin/traces/{trace.pk}/forget", follow=True)

    assert "is forgotten" in page.content.decode()
    assert not remembered(tenant_a, entry)
    assert "gone already" in client.post(f"/admin/traces/{trace.pk}/forget", follow=True).content.decode()


def test_analysts_and_other_tenants_forget_nothing(tenant_a: Tenant, tenant_b: Tenant) -> None:
    entry = entry_of(tenant_a)
    trace, planted = near(tenant_a, entry), near(tenant_b, entry)
    analyst, stranger = signed_in(tenant_a, Membership.Role.ANALYST), signed_in(tenant_b, Membership.Role.OWNER)

    assert b"Forget entry" not in analyst.get(f"/admin/traces/{trace.pk}/").content
    assert analyst.post(f"/admin/traces/{trace.pk}/forget").status_code == 404
    assert stranger.post(f"/admin/traces/{trace.pk}/forget").status_code == 404
    assert stranger.post(f"/admin/traces/{trace.pk}/forget?tenant={tenant_a.slug}").status_code == 404
    stranger.post(f"/admin/traces/{planted.pk}/forget")
    assert remembered(tenant_a, entry)
