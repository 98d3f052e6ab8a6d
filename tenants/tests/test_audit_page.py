"""The page of the audit log: admins see their own tenant's acts, staff all, and nobody changes any."""

import pytest

from conftest import SignIn, unique
from tenants import services
from tenants.acting import Actor, acting
from tenants.audit_words import object_words, value_words
from tenants.models import AuditEntry, Membership, Quota, Tenant

pytestmark = pytest.mark.django_db
Role = Membership.Role
PAGE = "/admin/tenants/auditentry/"


@pytest.mark.parametrize("role", list(Role))
def test_admins_and_owners_read_it(role: str, sign_in: SignIn) -> None:
    allowed = role in (Role.ADMIN, Role.OWNER)
    client = sign_in(role)
    assert client.get(f"{PAGE}?tenant=acme").status_code == (200 if allowed else 403)
    assert ("Audit log" in client.get("/admin/?tenant=acme").content.decode()) == allowed


def test_another_tenants_and_the_platforms_entries_are_not_there(
    sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    with acting(Actor("user", "somebody-of-globex", "203.0.113.9")):
        services.create_api_key(tenant=tenant_b, name=unique("their-secret-plan"))
    theirs = AuditEntry.objects.get(actor="somebody-of-globex")
    platforms = AuditEntry.objects.create(
        at=theirs.at, actor_kind="user", actor="staff-alone", action="changed", object="scheduling_lane"
    )
    client = sign_in(Role.OWNER)
    for query in ("", "&q=their-secret-plan", "&q=staff-alone", "&of=scheduling_lane", "&action__exact=changed"):
        page = client.get(f"{PAGE}?tenant=acme{query}")
        text = page.content.decode()
        assert page.status_code == 200
        assert "somebody-of-globex" not in text and "203.0.113.9" not in text
        assert (
            platforms not in page.context_data["cl"].result_list and theirs not in page.context_data["cl"].result_list
        )
    for entry in (theirs, platforms):
        assert client.get(f"{PAGE}{entry.pk}/change/?tenant=acme").status_code == 404
    everything = sign_in(None).get(f"{PAGE}?tenant=all").content.decode()
    assert "somebody-of-globex" in everything and "staff-alone" in everything


def test_an_entry_shows_what_was_and_what_became_and_has_no_buttons(sign_in: SignIn, tenant_a: Tenant) -> None:
    quota = Quota.objects.create(tenant=tenant_a, metric="cost", window="month", limit=1000)
    Quota.objects.filter(pk=quota.pk).update(limit=2000)
    entry = AuditEntry.objects.get(object="tenants_quota", object_id=str(quota.pk), action="changed")
    client = sign_in(Role.ADMIN)
    listed = client.get(f"{PAGE}?tenant=acme").content.decode()
    assert "<del>1,000</del>" in listed and "<ins>2,000</ins>" in listed
    page = client.get(f"{PAGE}{entry.pk}/change/?tenant=acme").content.decode()
    assert "<ins>2,000</ins>" in page and 'name="_save"' not in page and "Delete" not in page
    for path in ("add/", f"{entry.pk}/delete/"):
        assert client.get(f"{PAGE}{path}?tenant=acme").status_code == 403
    assert client.post(f"{PAGE}{entry.pk}/change/?tenant=acme", {"actor": "x"}).status_code == 403


def test_values_as_a_person_would_say_them() -> None:
    assert object_words("tenants_apikey") == "API key" and object_words("gone") == "gone"
    assert [value_words(one) for one in (True, False, 1234, [], ["a", "b"], "", " a\n b ")] == [
        "yes",
        "no",
        "1,234",
        "empty",
        "a, b",
        "empty",
        "a b",
    ]
    assert value_words("2026-11-21T11:23:16.912+00:00") == "2026-11-21 11:23:16 UTC"
    assert value_words("x" * 500) == "x" * 160 + "…"
