"""The console's access pages: what each role may do, and that nobody reaches another tenant."""

import logging
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from conftest import SignIn, unique
from tenants import services
from tenants.core.apikeys import key_id_of
from tenants.models import ApiKey, Membership, Quota, Tenant, User

pytestmark = pytest.mark.django_db
Role = Membership.Role

PAGES = ["tenants/apikey", "tenants/quota", "tenants/membership", "routing/policy", "routing/route", "routing/provider"]
WRITERS = {
    "tenants/apikey": {Role.ADMIN, Role.OWNER},
    "tenants/quota": {Role.ADMIN, Role.OWNER},
    "tenants/membership": {Role.OWNER},
    "routing/policy": {Role.EDITOR, Role.ADMIN, Role.OWNER},
    "routing/route": {Role.ADMIN, Role.OWNER},
    "routing/provider": set(),
}


@pytest.fixture
def rows_of_b(tenant_b: Tenant) -> dict[str, Any]:
    key, _ = services.create_api_key(tenant=tenant_b, name=unique("secret-project"))
    person = User.objects.create_user(unique("globex-person"))
    return {
        "tenants/apikey": key,
        "tenants/quota": Quota.objects.create(tenant=tenant_b, api_key=key, limit=987_654_321),
        "tenants/membership": Membership.objects.create(tenant=tenant_b, user=person, role=Role.OWNER),
    }


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("page", PAGES)
def test_every_member_reads_and_only_some_add(page: str, role: str, sign_in: SignIn) -> None:
    client = sign_in(role)
    assert client.get(f"/admin/{page}/?tenant=acme").status_code == 200
    assert client.get(f"/admin/{page}/add/?tenant=acme").status_code == (200 if role in WRITERS[page] else 403)


@pytest.mark.parametrize("page", ["tenants/tenant", "tenants/user", "scheduling/lane"])
def test_pages_of_the_platform_are_its_staffs(page: str, sign_in: SignIn) -> None:
    assert sign_in(Role.OWNER).get(f"/admin/{page}/").status_code == 403
    assert sign_in(None).get(f"/admin/{page}/?tenant=all").status_code == 200


def test_somebody_without_a_membership_sees_nothing(tenant_a: Tenant) -> None:
    person = User.objects.create_user(unique("nobody"), is_staff=True)
    client = Client()
    client.force_login(person)
    for page in PAGES:
        assert client.get(f"/admin/{page}/").status_code == 403
        assert client.get(f"/admin/{page}/?tenant=acme").status_code == 404


def test_the_sidebar_lists_what_the_person_may_see(sign_in: SignIn, tenant_b: Tenant) -> None:
    page = sign_in(Role.VIEWER).get("/admin/tenants/apikey/?tenant=acme").content.decode()
    assert 'href="/admin/tenants/quota/?tenant=acme"' in page
    assert "/admin/tenants/user/" not in page
    assert "Acme retail" in page
    assert "Globex" not in page and "All tenants" not in page
    staff = sign_in(None).get("/admin/tenants/apikey/?tenant=acme").content.decode()
    assert "All tenants" in staff and "/admin/tenants/apikey/?tenant=globex" in staff


@pytest.mark.parametrize("page", ["tenants/apikey", "tenants/quota", "tenants/membership"])
@pytest.mark.parametrize("verb", ["change/", "delete/", "history/"])
def test_another_tenants_row_is_not_there(page: str, verb: str, sign_in: SignIn, rows_of_b: dict[str, Any]) -> None:
    row = rows_of_b[page]
    client = sign_in(Role.OWNER)
    for answer in (
        client.get(f"/admin/{page}/{row.pk}/{verb}"),
        client.post(f"/admin/{page}/{row.pk}/{verb}", {"post": "yes"}),
    ):
        assert answer.status_code in (403, 404)
        assert "globex" not in answer.content.decode().lower().replace(str(row.pk), "")
    assert type(row).objects.filter(pk=row.pk).exists()
    if page == "tenants/apikey":
        assert client.post(f"/admin/{page}/{row.pk}/revoke/").status_code == 404
    assert client.get(f"/admin/{page}/?tenant=globex").status_code == 404


def test_lists_and_searches_count_only_the_own_tenant(sign_in: SignIn, rows_of_b: dict[str, Any]) -> None:
    client = sign_in(Role.OWNER)
    for query in ("", "&q=secret-project", "&tenant__slug=globex", "&api_key__tenant__slug=globex"):
        page = client.get(f"/admin/tenants/apikey/?tenant=acme{query}", follow=True).content.decode()
        assert "secret-project-" not in page
    assert "987,654,321" not in client.get("/admin/tenants/quota/?tenant=acme").content.decode()


def test_a_new_keys_secret_is_shown_once_and_kept_nowhere(
    sign_in: SignIn, tenant_a: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    client, name = sign_in(Role.ADMIN), unique("web-prod")
    caplog.set_level(logging.DEBUG)
    page = client.post("/admin/tenants/apikey/add/?tenant=acme", {"name": name, "scopes": ["chat"]})
    assert page.status_code == 200 and "no-store" in page["Cache-Control"]
    found = re.search(r"sk-relay-\w+_\w+", page.content.decode())
    assert found is not None
    secret, row = found[0], ApiKey.objects.get(name=name)
    assert key_id_of(secret) == row.key_id and row.tenant == tenant_a and row.scopes == ["chat"]
    assert f"Bearer {secret}" in page.content.decode() and "curl http://testserver/v1/" in page.content.decode()
    for path in ("", f"{row.pk}/change/", f"{row.pk}/history/"):
        assert secret.partition("_")[2] not in client.get(f"/admin/tenants/apikey/{path}").content.decode()
    assert secret.partition("_")[2] not in caplog.text
    assert secret.partition("_")[2] not in str(dict(client.session))


def test_what_the_server_decides_can_not_be_posted(sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant) -> None:
    client, name = sign_in(Role.ADMIN), unique("sneaky")
    forged = {"name": name, "tenant": tenant_b.pk, "key_id": "x" * 12, "digest": "0" * 64, "created_by": "god"}
    client.post("/admin/tenants/apikey/add/?tenant=acme", forged)
    row = ApiKey.objects.get(name=name)
    assert row.tenant == tenant_a and row.key_id != "x" * 12 and row.digest != "0" * 64 and row.created_by != "god"
    before = row.digest
    forged |= {"revoked_at": "", "last_used_at": "2020-01-01"}
    client.post(f"/admin/tenants/apikey/{row.pk}/change/?tenant=acme", forged)
    row.refresh_from_db()
    assert row.tenant == tenant_a and row.digest == before and row.last_used_at is None


def test_a_name_that_is_taken_is_a_message(sign_in: SignIn, tenant_a: Tenant) -> None:
    key, _ = services.create_api_key(tenant=tenant_a, name=unique("taken"))
    page = sign_in(Role.ADMIN).post("/admin/tenants/apikey/add/?tenant=acme", {"name": key.name})
    assert page.status_code == 200 and "already exists" in page.content.decode()


def test_no_key_is_made_that_is_over_already(sign_in: SignIn, tenant_a: Tenant) -> None:
    form = {"name": unique("late"), "expires_at_0": "2001-01-01", "expires_at_1": "00:00"}
    assert "in the past" in sign_in(Role.ADMIN).post("/admin/tenants/apikey/add/?tenant=acme", form).content.decode()
    assert not ApiKey.objects.filter(name=form["name"]).exists()


def test_revoking_asks_first_and_ends_the_key(sign_in: SignIn, tenant_a: Tenant) -> None:
    key, _ = services.create_api_key(tenant=tenant_a, name=unique("old"))
    assert sign_in(Role.EDITOR).post(f"/admin/tenants/apikey/{key.pk}/revoke/").status_code == 404
    client = sign_in(Role.ADMIN)
    assert "within a second" in client.get(f"/admin/tenants/apikey/{key.pk}/revoke/").content.decode()
    key.refresh_from_db()
    assert key.revoked_at is None
    client.post(f"/admin/tenants/apikey/{key.pk}/revoke/")
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "Revoked" in client.get("/admin/tenants/apikey/?tenant=acme").content.decode()
    client.post(f"/admin/tenants/apikey/{key.pk}/change/", {"name": "again"})
    key.refresh_from_db()
    assert key.name != "again"


def test_a_quota_can_not_name_another_tenants_key(sign_in: SignIn, rows_of_b: dict[str, Any]) -> None:
    form = {
        "api_key": rows_of_b["tenants/apikey"].pk,
        "metric": "tokens",
        "window": "day",
        "limit": 5,
        "timezone": "UTC",
        "hard": "on",
    }
    client = sign_in(Role.ADMIN)
    assert "secret-project-" not in client.get("/admin/tenants/quota/add/?tenant=acme").content.decode()
    assert "Select a valid choice" in client.post("/admin/tenants/quota/add/?tenant=acme", form).content.decode()
    key, _ = services.create_api_key(tenant=Tenant.objects.get(slug="acme"), name=unique("key"))
    assert client.post("/admin/tenants/quota/add/?tenant=acme", form | {"api_key": key.pk}).status_code == 302
    twice = client.post("/admin/tenants/quota/add/?tenant=acme", form | {"api_key": key.pk})
    assert twice.status_code == 200 and Quota.objects.filter(api_key=key).count() == 1
    assert "There is a quota of this metric and window already." in twice.content.decode()
    nothing = client.post("/admin/tenants/quota/add/?tenant=acme", form | {"api_key": key.pk, "limit": 0})
    assert "A limit is at least 1." in nothing.content.decode() and "is violated" not in nothing.content.decode()


def test_an_owner_invites_somebody_new_who_chooses_a_password(sign_in: SignIn, tenant_a: Tenant) -> None:
    who = f"{unique('new')}@example.com"
    page = sign_in(Role.OWNER).post("/admin/tenants/membership/add/?tenant=acme", {"who": who, "role": "editor"})
    link = re.search(r"http://testserver(/admin/welcome/[^<\"]+)", page.content.decode())
    assert link is not None
    guest = Client()
    form = guest.get(link[1], follow=True)
    assert "Choose a password" in form.content.decode()
    password = unique("correct-horse-battery")
    done = guest.post(form.redirect_chain[-1][0], {"new_password1": password, "new_password2": password})
    assert done.status_code == 302
    person = User.objects.get(username=who)
    assert person.is_staff and not person.is_superuser and person.check_password(password)
    assert guest.get("/admin/routing/policy/").status_code == 200
    assert "no longer works" in Client().get(link[1], follow=True).content.decode()


def test_somebody_known_is_added_without_a_link(sign_in: SignIn, tenant_a: Tenant) -> None:
    known = User.objects.create_user(
        unique("known"), email=f"{unique('k')}@example.com", password="a-pass-of-their-own"
    )
    client = sign_in(Role.OWNER)
    page = client.post("/admin/tenants/membership/add/?tenant=acme", {"who": known.email.upper(), "role": "viewer"})
    assert page.status_code == 302
    known.refresh_from_db()
    assert known.is_staff and known.check_password("a-pass-of-their-own")
    again = client.post("/admin/tenants/membership/add/?tenant=acme", {"who": known.username, "role": "owner"})
    assert "member already" in again.content.decode()
    assert Membership.objects.get(user=known, tenant=tenant_a).role == "viewer"
    assert (
        client.post("/admin/tenants/membership/add/?tenant=acme", {"who": "no spaces!", "role": "viewer"}).status_code
        == 200
    )


def test_nobody_changes_their_own_role(sign_in: SignIn, tenant_a: Tenant) -> None:
    for role in (Role.VIEWER, Role.ADMIN, Role.OWNER):
        client = sign_in(role)
        own = Membership.objects.get(user_id=client.session["_auth_user_id"])
        for verb, form in (("change", {"role": "owner", "user": 1}), ("delete", {"post": "yes"})):
            assert client.post(f"/admin/tenants/membership/{own.pk}/{verb}/", form).status_code == 403
        own.refresh_from_db()
        assert own.role == role


def test_an_owner_changes_a_role_but_not_the_person_or_the_tenant(
    sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    person = User.objects.create_user(unique("colleague"))
    row = Membership.objects.create(user=person, tenant=tenant_a, role=Role.VIEWER)
    client = sign_in(Role.OWNER)
    me = client.session["_auth_user_id"]
    client.post(f"/admin/tenants/membership/{row.pk}/change/", {"role": "admin", "tenant": tenant_b.pk, "user": me})
    row.refresh_from_db()
    assert (row.role, row.tenant, row.user) == ("admin", tenant_a, person)
    assert client.post(f"/admin/tenants/membership/{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Membership.objects.filter(pk=row.pk).exists()


def test_staff_make_and_switch_off_a_tenant_from_within_another(sign_in: SignIn) -> None:
    client, slug = sign_in(None), unique("t")
    form = {"slug": slug, "name": "New one", "content": "metadata", "active": "on"}
    assert client.post("/admin/tenants/tenant/add/?tenant=acme", form).status_code == 302
    made = Tenant.objects.get(slug=slug)
    assert made.schema_name == services.schema_of(slug)
    assert client.post(f"/admin/tenants/tenant/{made.pk}/change/?tenant=acme", form | {"active": ""}).status_code == 302
    made.refresh_from_db()
    assert not made.active
    assert client.post(f"/admin/tenants/tenant/{made.pk}/delete/", {"post": "yes"}).status_code == 403


def test_staff_who_look_at_all_tenants_see_whose_a_row_is(sign_in: SignIn, rows_of_b: dict[str, Any]) -> None:
    client = sign_in(None)
    page = client.get("/admin/tenants/apikey/?tenant=all").content.decode()
    assert "Globex" in page and rows_of_b["tenants/apikey"].name in page
    assert client.get("/admin/tenants/apikey/add/?tenant=all").status_code == 403
    assert client.get("/admin/tenants/user/?tenant=all").status_code == 200
    person = User.objects.get(pk=client.session["_auth_user_id"])
    assert client.get(f"/admin/tenants/user/{person.pk}/change/?tenant=all").status_code == 200


def test_an_expired_key_says_so(sign_in: SignIn, tenant_a: Tenant) -> None:
    services.create_api_key(tenant=tenant_a, name=unique("expired"), expires_at=timezone.now())
    assert "Expired" in sign_in(Role.VIEWER).get("/admin/tenants/apikey/?tenant=acme").content.decode()


@pytest.mark.parametrize(
    "query", ["tenant=%00", "tenant=acme&q=%00", "tenant=acme&o=x&p=y", "tenant=acme&_popup=1&_to_field=x"]
)
def test_odd_addresses_are_no_server_error(query: str, sign_in: SignIn) -> None:
    client = sign_in(Role.OWNER)
    for page in ("tenants/apikey", "tenants/quota", "routing/policy"):
        assert client.get(f"/admin/{page}/?{query}").status_code < 500
