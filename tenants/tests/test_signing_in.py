"""Who signed in, out, or in vain: in the audit log, without anything that could be a password."""

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from conftest import SignIn, unique
from tenants.models import AuditEntry, Membership, Tenant, User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_http")]
PASSWORD = "correct horse battery"


@pytest.fixture
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def person(tenant_a: Tenant) -> User:
    user = User.objects.create_user(unique("ada"), password=PASSWORD, is_staff=True)
    Membership.objects.create(user=user, tenant=tenant_a, role="viewer")
    return user


def _enter(name: str, password: str, client: Client | None = None) -> Any:
    asked = {"username": name, "password": password}
    return (client or Client(REMOTE_ADDR="192.0.2.9")).post("/admin/login/", asked)


def _entries(name: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(object="tenants_user", name=name, action__contains="signed").order_by("id"))


def test_in_and_out_with_whom_and_from_where(person: User, tenant_a: Tenant) -> None:
    client = Client(REMOTE_ADDR="192.0.2.9")
    assert _enter(person.username, PASSWORD, client).status_code == 302
    client.post("/admin/logout/")
    entries = _entries(person.username)
    assert [one.action for one in entries] == ["signed-in", "signed-out"]
    assert {(one.actor, one.actor_kind, one.address) for one in entries} == {(person.username, "user", "192.0.2.9")}
    assert {one.tenant for one in entries} == {tenant_a.slug}


def test_a_wrong_password_is_told_once_a_minute_and_not_kept(person: User) -> None:
    for attempt in range(2):
        _enter(person.username, f"hunter-{attempt}")
    [entry] = _entries(person.username)
    assert (entry.action, entry.get_action_display()) == ("not-signed-in", "sign-in refused")
    cache.delete(f"refused-sign-in:{person.pk}")  # a minute later
    _enter(person.username, "hunter-2")
    assert len(_entries(person.username)) == 2
    assert "hunter" not in str(list(AuditEntry.objects.values()))


def test_a_name_that_nobody_has_is_not_kept() -> None:
    """It may be the password, typed into the wrong field."""
    cache.delete("refused-sign-in:0")
    typed = unique("my-secret-password")
    for name in (typed, f"{typed}\x00", "x" * 5_000):
        _enter(name, typed)
    [entry] = _entries("(nobody of this name)")
    assert entry.tenant == "" and entry.address == "192.0.2.9"
    assert typed not in str(list(AuditEntry.objects.values()))


def test_who_belongs_to_two_tenants_is_seen_by_the_platform_only(
    person: User, tenant_b: Tenant, sign_in: SignIn
) -> None:
    Membership.objects.create(user=person, tenant=tenant_b, role="viewer")
    _enter(person.username, PASSWORD)
    [entry] = _entries(person.username)
    assert entry.tenant == ""
    page = "/admin/tenants/auditentry/"
    path = f"{page}{entry.pk}/change/"
    assert sign_in("owner", tenant_b).get(f"{path}?tenant={tenant_b.slug}").status_code == 404
    assert "Signed in" in sign_in(None).get(f"{path}?tenant=all").content.decode()
