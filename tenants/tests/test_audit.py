"""The audit log: whoever changes the configuration, by whatever way, leaves an entry that nobody can change."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from conftest import SignIn, unique
from tenants import services
from tenants.acting import Actor, acting
from tenants.audit import record, verify_log
from tenants.models import ApiKey, AuditEntry, Membership, Quota, Tenant, User

pytestmark = pytest.mark.django_db
PERSON = Actor("user", "ada", "192.0.2.7")


def seal() -> None:
    """What a commit does."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@contextmanager
def by_hand() -> Iterator[Any]:
    """A superuser of the database who switches the guard off."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_a_change_says_who_what_and_from_what_to_what(tenant_a: Tenant) -> None:
    quota = Quota.objects.create(tenant=tenant_a, metric="tokens", window="hour", limit=100)
    with acting(PERSON):
        Quota.objects.filter(pk=quota.pk).update(limit=250)
    entry = AuditEntry.objects.first()
    assert entry is not None
    assert (entry.actor_kind, entry.actor, entry.address) == ("user", "ada", "192.0.2.7")
    assert (entry.tenant, entry.action, entry.object, entry.object_id) == (
        tenant_a.slug,
        "changed",
        "tenants_quota",
        str(quota.pk),
    )
    assert (entry.name, entry.changes) == ("250 tokens a hour", {"limit": [100, 250]})


def test_what_nobody_owns_up_to_is_the_databases(tenant_a: Tenant) -> None:
    with acting(PERSON):
        pass
    Tenant.objects.filter(pk=tenant_a.pk).update(name="Acme")
    entry = AuditEntry.objects.first()
    assert entry is not None and entry.actor_kind == "database" and entry.changes == {"name": ["Acme retail", "Acme"]}


def test_secrets_are_named_and_not_kept(tenant_a: Tenant) -> None:
    key, text = services.create_api_key(tenant=tenant_a, name=unique("web"))
    person = User.objects.create_user(unique("person"), password="a-long-password")
    made = AuditEntry.objects.get(object="tenants_apikey", object_id=str(key.pk))
    assert made.changes["digest"] == [None, "(hidden)"]
    assert AuditEntry.objects.get(object="tenants_user", object_id=str(person.pk)).changes["password"][1] == "(hidden)"
    everything = str(list(AuditEntry.objects.values()))
    assert text not in everything and key.digest not in everything and person.password not in everything


def test_verbs_and_what_is_not_worth_an_entry(tenant_a: Tenant) -> None:
    key, _ = services.create_api_key(tenant=tenant_a, name=unique("web"))
    services.revoke_api_key(key=key)
    ApiKey.objects.filter(pk=key.pk).update(last_used_at="2026-11-21T00:00:00Z")
    actions = AuditEntry.objects.filter(object="tenants_apikey", object_id=str(key.pk)).values_list("action", flat=True)
    assert list(actions) == ["revoked", "created"]


def test_an_act_that_is_taken_back_leaves_nothing(tenant_a: Tenant) -> None:
    before = AuditEntry.objects.count()
    with transaction.atomic():
        Quota.objects.create(tenant=tenant_a, limit=7)
        transaction.set_rollback(True)
    assert AuditEntry.objects.count() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tenants_auditentry SET actor = 'mallory'",
        "DELETE FROM tenants_auditentry",
        "TRUNCATE tenants_auditentry",
    ],
)
def test_entries_cannot_be_changed(statement: str, tenant_a: Tenant) -> None:
    Quota.objects.create(tenant=tenant_a, limit=8)
    seal()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_an_entry_cannot_bring_its_own_place_in_the_chain() -> None:
    with acting(PERSON):
        record(action="tested", object="alerts_alertchannel", name="ops", outcome="delivered")
    seal()
    assert verify_log().problem == ""
    entry = AuditEntry.objects.first()
    assert entry is not None and entry.number is not None and entry.changes == {"outcome": [None, "delivered"]}


def test_the_walk_names_the_first_entry_that_was_changed(tenant_a: Tenant, capsys: Any) -> None:
    for limit in (11, 12, 13):
        Quota.objects.create(tenant=tenant_a, metric="cost", window="hour", limit=limit).delete()
    seal()
    call_command("audit_verify")
    head = capsys.readouterr().out.split()[-1]
    call_command("audit_verify", "--head", head)
    number = AuditEntry.objects.filter(changes__limit__1=12).values_list("number", flat=True)[0]
    with by_hand() as cursor:
        cursor.execute("UPDATE tenants_auditentry SET actor = 'mallory' WHERE number = %s", [number])
    with pytest.raises(CommandError, match=f"Entry {number} was changed"):
        call_command("audit_verify")


def test_entries_that_were_taken_away_are_missed(tenant_a: Tenant) -> None:
    for limit in (21, 22):
        Quota.objects.create(tenant=tenant_a, metric="cost", window="hour", limit=limit).delete()
    seal()
    head = verify_log().head
    newest = verify_log().checked
    with by_hand() as cursor:
        cursor.execute("DELETE FROM tenants_auditentry WHERE number = %s", [newest])
    assert verify_log().problem == ""
    assert "missing at the end" in verify_log(head).problem
    with by_hand() as cursor:
        cursor.execute("DELETE FROM tenants_auditentry WHERE number = %s", [newest - 2])
    assert verify_log().problem.startswith(f"Entry {newest - 2} is missing")


def test_acts_at_the_same_time_make_one_line(django_db_blocker: Any) -> None:
    name = unique("together")

    def act(number: int) -> None:
        with django_db_blocker.unblock():
            try:
                with acting(Actor("user", f"person-{number}")), transaction.atomic():
                    for _ in range(3):
                        record(action="tested", object="nothing", name=name)
            finally:
                connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, range(16)))
    found = verify_log()
    assert found.problem == "" and found.checked >= 48
    made = AuditEntry.objects.filter(name=name, number__isnull=False)
    assert made.count() == 48 and made.values("actor").distinct().count() == 16


def test_a_form_of_the_console_is_the_act_of_who_sent_it(sign_in: SignIn, tenant_a: Tenant) -> None:
    client = sign_in(Membership.Role.ADMIN)
    person = User.objects.get(pk=client.session["_auth_user_id"])
    name = unique("from-the-console")
    assert client.post("/admin/tenants/apikey/add/?tenant=acme", {"name": name}).status_code == 200
    entry = AuditEntry.objects.get(object="tenants_apikey", name=name)
    assert (entry.actor_kind, entry.actor, entry.address) == ("user", person.username, "127.0.0.1")
