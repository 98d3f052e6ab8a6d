"""Providers, deployments and credentials in the console: who may what, and that nobody sees what is another's."""

from typing import Any

import pytest

from conftest import SignIn, unique
from routing.credentials import set_credential
from routing.models import Credential, Deployment, Policy, Provider, Route
from routing.services import import_policy
from routing.tests.stage import NO_CACHE
from tenants.models import Membership, Tenant

pytestmark = pytest.mark.django_db
Role = Membership.Role
SECRET = "sk-test-secret-0123456789-wxyz"
TYPED = {"base_url": "https://8.8.8.8/v1", "environments": "[]", "kind": "openai_compatible", "enabled": "on"}


@pytest.fixture
def deployment(tenant_a: Tenant) -> Deployment:
    """Behind a route of tenant A."""
    provider = Provider.objects.create(
        slug=unique("vendor"),
        name="Vendor",
        base_url="https://8.8.8.8/v1",
        credential_env="VENDOR_API_KEY",
        needs_credential=True,
    )
    row = Deployment.objects.create(slug=unique("model"), provider=provider, model="m")
    row.limits.create(metric="requests", window="day", limit=200)
    import_policy(tenant=tenant_a, slug="catalogue", text=NO_CACHE, activated=True)
    policy = Policy.objects.get(tenant=tenant_a, slug="catalogue")
    Route.objects.create(tenant=tenant_a, name=unique("r"), policy=policy).steps.create(deployment=row)
    return row


@pytest.fixture
def provider(deployment: Deployment) -> Provider:
    return deployment.provider


def at(provider: Provider, view: str = "change", tenant: str = "acme") -> str:
    return f"/admin/routing/provider/{provider.pk}/{view}/?tenant={tenant}"


def html(answer: Any) -> str:
    return str(answer.content.decode())


def test_an_admin_brings_the_tenants_own_credential_and_never_sees_it_again(
    sign_in: SignIn, provider: Provider, tenant_a: Tenant
) -> None:
    client = sign_in(Role.ADMIN)
    assert "none stored" in html(client.get(at(provider)))
    answer = client.post(at(provider, "credential"), {"secret": SECRET}, follow=True)
    row = Credential.objects.get(provider=provider)
    assert (row.tenant, row.open()) == (tenant_a, SECRET)
    pages = [html(answer), html(client.get(at(provider, "credential"))), html(client.get(at(provider)))]
    assert all("…wxyz" in page and SECRET not in page and row.sealed not in page for page in pages)

    client.post(at(provider, "credential/clear"))
    assert not Credential.objects.filter(provider=provider).exists()
    assert client.get(at(provider, "credential/clear")).status_code == 405


@pytest.mark.parametrize("secret", ["", "sk with blank", "sk\nline", "sk-é", "x" * 5000])
def test_a_credential_that_cannot_be_is_refused_and_not_echoed(
    secret: str, sign_in: SignIn, provider: Provider
) -> None:
    page = html(sign_in(Role.ADMIN).post(at(provider, "credential"), {"secret": secret}))
    assert 'role="alert"' in page and not Credential.objects.filter(provider=provider).exists()
    assert not secret or secret not in page


def test_only_admins_of_the_tenant_may(sign_in: SignIn, provider: Provider, tenant_b: Tenant) -> None:
    """Who may not is told that there is nothing: members with a lower role, and everybody of another tenant."""
    for client in (sign_in(Role.EDITOR), sign_in(Role.OWNER, tenant_b)):
        for tenant in ("acme", "globex", "all"):
            assert client.get(at(provider, "credential", tenant)).status_code == 404
            assert client.post(at(provider, "credential", tenant), {"secret": SECRET}).status_code == 404
            assert client.post(at(provider, "credential/clear", tenant)).status_code == 404
    assert not Credential.objects.exists()


def test_an_admin_never_touches_the_platforms_or_anothers(
    sign_in: SignIn, provider: Provider, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    set_credential(provider=provider, tenant=None, secret="sk-platform-0123456789-plat")
    set_credential(provider=provider, tenant=tenant_b, secret="sk-globex-0123456789-glob")
    client = sign_in(Role.OWNER)
    for tenant in ("all", "globex", "acme"):
        client.post(at(provider, "credential", tenant), {"secret": SECRET})
        client.post(at(provider, "credential/clear", tenant))
    kept = {row.tenant: row.open() for row in Credential.objects.all()}
    assert kept == {None: "sk-platform-0123456789-plat", tenant_b: "sk-globex-0123456789-glob"}
    shown = html(client.get(at(provider))) + html(client.get("/admin/routing/provider/"))
    assert "plat" not in shown.replace("platform", "") and "…glob" not in shown
    assert client.get(at(provider, "history")).status_code == 404


def test_staff_enter_the_platforms_where_they_look_at_all_tenants(
    sign_in: SignIn, provider: Provider, tenant_a: Tenant
) -> None:
    staff = sign_in(None)
    assert "For everybody" in html(staff.get(at(provider, "credential", "all")))
    staff.post(at(provider, "credential", "all"), {"secret": SECRET})
    staff.post(at(provider, "credential", "acme"), {"secret": "sk-for-acme-0123456789"})
    assert set(Credential.objects.values_list("tenant", flat=True)) == {None, tenant_a.pk}
    assert "Credential of the platform entered." in html(staff.get(at(provider, "history", "all")))
    assert SECRET not in html(staff.get(at(provider, "history", "all")))


def test_the_list_says_what_is_missing(sign_in: SignIn, provider: Provider) -> None:
    staff, viewer = sign_in(None), sign_in(Role.VIEWER)
    listed = html(staff.get("/admin/routing/provider/?tenant=all"))
    assert "It needs a credential: store one or set VENDOR_API_KEY." in listed
    theirs = html(viewer.get("/admin/routing/provider/?tenant=acme"))
    assert "bring your own or ask staff" in theirs and "VENDOR_API_KEY" not in theirs
    assert "Provider is not ready" in html(viewer.get("/admin/routing/deployment/?tenant=acme"))
    set_credential(provider=provider, tenant=None, secret=SECRET)
    listed = html(viewer.get(f"/admin/routing/provider/?tenant=acme&q={provider.slug}"))
    assert provider.name in listed
    assert "Not ready" not in listed


def test_staff_change_a_provider_and_bad_addresses_name_their_field(sign_in: SignIn, provider: Provider) -> None:
    staff = sign_in(None)
    form = {**TYPED, "slug": provider.slug, "name": "Renamed"}
    assert staff.post(at(provider, tenant="all"), form).status_code == 302
    provider.refresh_from_db()
    assert provider.name == "Renamed"
    page = html(staff.post(at(provider, tenant="all"), {**form, "base_url": "http://169.254.169.254/"}))
    assert "169.254.169.254 is link-local" in page
    page = html(staff.post(at(provider, tenant="all"), {**form, "base_url": "http://127.0.0.1:1/"}))
    assert "not on the public internet" in page
    assert staff.post(
        at(provider, tenant="all"), {**form, "base_url": "http://127.0.0.1:1/", "allow_private": "on"}
    ).status_code == 302  # fmt: skip
    page = html(staff.post(at(provider, tenant="all"), {**form, "base_url": "vendor.example/v1"}))
    assert "It must begin with http:// or https://." in page
    short = {**form, "base_url": "http://localhost:11434", "allow_private": "on"}
    assert staff.post(at(provider, tenant="all"), short).status_code == 302, "a name without a dot, as in a network"


def test_a_price_that_staff_type_is_kept_as_set_by_hand(sign_in: SignIn, deployment: Deployment) -> None:
    staff, page = sign_in(None), f"/admin/routing/deployment/{deployment.pk}/change/?tenant=all"
    assert "200" in html(staff.get(page))
    names = (
        "slug model serves capacity context_window price_in_microusd price_out_microusd neurons_in neurons_out quality"
        " typical_latency_ms connect_timeout_ms ttft_timeout_ms idle_timeout_ms total_timeout_ms"
    )
    limit = deployment.limits.get()
    form: dict[str, Any] = {name: getattr(deployment, name) for name in names.split()}
    form |= {"provider": deployment.provider_id, "enabled": "on", "strengths": "{}", "options": "{}"}
    form |= {"limits-TOTAL_FORMS": "1", "limits-INITIAL_FORMS": "1", "limits-0-id": limit.pk}
    form |= {"limits-0-metric": "requests", "limits-0-window": "day", "limits-0-timezone": "UTC"}

    assert staff.post(page, form | {"limits-0-limit": "300"}).status_code == 302
    deployment.refresh_from_db()
    assert (deployment.price_by_hand, deployment.limits.get().limit) == (False, 300)
    assert staff.post(page, form | {"limits-0-limit": "300", "price_in_microusd": "5"}).status_code == 302
    deployment.refresh_from_db()
    assert (deployment.price_by_hand, deployment.price_in_microusd) == (True, 5)
    for field, value in (("price_in_microusd", "-5"), ("strengths", '{"cooking": 1}'), ("strengths", '{"chat": NaN}')):
        answer = staff.post(page, form | {"limits-0-limit": "300", field: value})
        assert answer.status_code == 200 and field in answer.context["adminform"].form.errors
