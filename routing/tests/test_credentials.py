"""Credentials of providers: whose counts for whom, what is refused, and keys that are rotated."""

import logging
import secrets
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from conftest import unique
from routing import snapshot
from routing.credentials import clear_credential, set_credential
from routing.models import CREDENTIAL_ENV, Credential, Deployment, DeploymentLimit, Policy, Provider, Route
from routing.providers.base import Target
from routing.sealing import key_of
from routing.services import import_policy
from routing.snapshot import RouteEntry, Snapshot
from routing.tests.stage import NO_CACHE
from tenants.auth import Caller
from tenants.models import Tenant

pytestmark = pytest.mark.django_db
PLATFORMS, OWN = "sk-platform-0123456789", "sk-acme-own-0123456789"


@pytest.fixture
def provider() -> Provider:
    return Provider.objects.create(slug=unique("vendor"), base_url="https://api.example.com/v1", needs_credential=True)


@pytest.fixture
def deployment(provider: Provider) -> Deployment:
    row = Deployment.objects.create(slug=unique("model"), provider=provider, model="m")
    DeploymentLimit.objects.create(deployment=row, metric="requests", window="day", limit=200)
    return row


@pytest.fixture
def route(deployment: Deployment) -> Route:
    import_policy(tenant=None, slug="credentials", text=NO_CACHE, activated=True)
    row = Route.objects.create(name=unique("route"), policy=Policy.objects.get(tenant=None, slug="credentials"))
    row.steps.create(deployment=deployment)
    return row


def caller(tenant: Tenant) -> Caller:
    return Caller(tenant.pk, tenant.slug, tenant.schema_name, "id", "name", keep_content=True)


def seen_by(tenant: Tenant, route: Route) -> tuple[Any, Target]:
    """The route's only candidate as a request of this tenant finds it, and where it would be sent."""
    loaded: Snapshot = snapshot.load()
    entry: RouteEntry = loaded.route(caller(tenant), route.name)[0]
    lineup = entry.candidates_for(caller(tenant), "chat")
    assert lineup is not None
    (candidate,) = lineup.candidates
    return candidate, loaded.target(caller(tenant), candidate.deployment)


def test_without_a_credential_it_is_not_used_and_the_reason_is_the_remedy(route: Route, tenant_a: Tenant) -> None:
    candidate, _ = seen_by(tenant_a, route)
    assert candidate.unavailable == "It needs a credential: store one."
    Provider.objects.update(credential_env="ACME_API_KEY")
    candidate, _ = seen_by(tenant_a, route)
    assert candidate.unavailable == "It needs a credential: store one or set ACME_API_KEY."


def test_the_tenants_own_goes_before_the_platforms_and_that_before_the_environments(
    provider: Provider, route: Route, tenant_a: Tenant, tenant_b: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_API_KEY", "sk-environment")
    Provider.objects.filter(pk=provider.pk).update(credential_env="ACME_API_KEY")
    assert seen_by(tenant_a, route)[1].credential == "sk-environment"
    set_credential(provider=provider, tenant=None, secret=PLATFORMS)
    assert seen_by(tenant_a, route)[1].credential == PLATFORMS
    set_credential(provider=provider, tenant=tenant_a, secret=OWN)
    assert seen_by(tenant_a, route)[1].credential == OWN
    assert seen_by(tenant_b, route)[1].credential == PLATFORMS
    assert clear_credential(provider=provider, tenant=tenant_a)
    assert seen_by(tenant_a, route)[1].credential == PLATFORMS


def test_a_tenant_with_its_own_may_use_what_others_may_not_and_the_platforms_limits_do_not_bind_it(
    provider: Provider, deployment: Deployment, route: Route, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    set_credential(provider=provider, tenant=tenant_a, secret=OWN)
    own, others = seen_by(tenant_a, route)[0], seen_by(tenant_b, route)[0]
    assert (own.unavailable, own.limits) == ("", ())
    assert others.unavailable == "It needs a credential: store one."
    assert [limit.limit for limit in others.limits] == [200]
    assert others.circuit == deployment.slug
    assert own.circuit == f"{deployment.slug}@{tenant_a.pk}"  # its failures are nobody else's


def test_a_tenants_own_route_uses_the_tenants_own_credential(
    provider: Provider, route: Route, tenant_a: Tenant
) -> None:
    set_credential(provider=provider, tenant=tenant_a, secret=OWN)
    Route.objects.filter(pk=route.pk).update(tenant=tenant_a)
    candidate, target = seen_by(tenant_a, route)
    assert (candidate.unavailable, target.credential) == ("", OWN)


def test_what_is_stored_is_sealed_and_shows_four_characters(provider: Provider, tenant_a: Tenant) -> None:
    row = set_credential(provider=provider, tenant=tenant_a, secret=OWN, author="anna")
    assert (row.hint, row.created_by, row.open()) == ("6789", "anna", OWN)
    assert OWN not in row.sealed
    set_credential(provider=provider, tenant=tenant_a, secret="short")
    again = Credential.objects.get(provider=provider, tenant=tenant_a)
    assert (again.hint, again.open()) == ("", "short")


@pytest.mark.parametrize(
    "secret", ["", " ", "sk secret", "sk\r\nX-Evil: 1", "sk\n", "sk-é", "sk-\u200b", "x" * 4097, "\x00"]
)
def test_a_credential_that_could_not_be_sent_is_refused_and_not_shown(secret: str, provider: Provider) -> None:
    with pytest.raises(ValidationError) as refused:
        set_credential(provider=provider, tenant=None, secret=secret)
    assert list(refused.value.message_dict) == ["secret"]
    assert not Credential.objects.filter(provider=provider).exists()
    assert secret.strip() == "" or secret not in str(refused.value)


@pytest.mark.parametrize(("secret", "fits"), [("AKIA:secret", True), ("AKIA:secret:token", True), ("AKIA", False)])
def test_bedrock_needs_two_or_three_parts(secret: str, fits: bool, provider: Provider) -> None:
    provider.kind = Provider.Kind.BEDROCK
    if fits:
        assert set_credential(provider=provider, tenant=None, secret=secret).open() == secret
    else:
        with pytest.raises(ValidationError, match="ACCESS_KEY_ID"):
            set_credential(provider=provider, tenant=None, secret=secret)


def test_without_a_key_nothing_is_stored(provider: Provider, settings: Any) -> None:
    settings.RELAY_CREDENTIAL_KEYS = {}
    with pytest.raises(ValidationError, match="set RELAY_CREDENTIAL_KEYS"):
        set_credential(provider=provider, tenant=None, secret=PLATFORMS)


def test_a_credential_that_does_not_open_is_said_and_gives_way_to_no_other(
    provider: Provider, route: Route, tenant_a: Tenant, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    set_credential(provider=provider, tenant=None, secret=PLATFORMS)
    set_credential(provider=provider, tenant=tenant_a, secret=OWN)
    Credential.objects.filter(provider=provider, tenant=tenant_a).update(sealed="v1.tests.AAAA.AAAA")
    with caplog.at_level(logging.ERROR):
        candidate, target = seen_by(tenant_a, route)
    assert candidate.unavailable == "Its credential cannot be opened: enter it again."
    assert target.credential == ""
    assert len([record for record in caplog.records if "cannot be opened" in record.getMessage()]) == 1
    assert PLATFORMS not in caplog.text and OWN not in caplog.text


def test_a_provider_whose_credential_does_not_open_is_not_switched_on(provider: Provider, settings: Any) -> None:
    set_credential(provider=provider, tenant=None, secret=PLATFORMS)
    settings.RELAY_CREDENTIAL_KEYS = {"other": secrets.token_bytes(32)}
    with pytest.raises(ValidationError, match="cannot be opened") as refused:
        provider.full_clean(exclude=["name"])
    assert list(refused.value.message_dict) == ["enabled"]
    provider.enabled = False
    provider.full_clean(exclude=["name"])


def test_a_sealed_text_that_was_copied_to_another_tenant_does_not_open(
    provider: Provider, route: Route, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    sealed = set_credential(provider=provider, tenant=tenant_a, secret=OWN).sealed
    Credential.objects.create(provider=provider, tenant=tenant_b, sealed=sealed)
    candidate, target = seen_by(tenant_b, route)
    assert (candidate.unavailable, target.credential) == ("Its credential cannot be opened: enter it again.", "")


def test_keys_are_rotated_without_touching_what_they_seal(provider: Provider, tenant_a: Tenant, settings: Any) -> None:
    old, new = {"k1": secrets.token_bytes(32)}, {"k2": secrets.token_bytes(32)}
    settings.RELAY_CREDENTIAL_KEYS = old
    row = set_credential(provider=provider, tenant=None, secret=PLATFORMS)
    settings.RELAY_CREDENTIAL_KEYS = new | old
    set_credential(provider=provider, tenant=tenant_a, secret=OWN)

    assert "1 would be put under key k2; 1 were there already." in rotate(dry_run=True)
    row.refresh_from_db()
    assert key_of(row.sealed) == "k1"
    assert "1 put under key k2; 1 were there already." in rotate()
    assert "0 put under key k2; 2 were there already." in rotate()
    settings.RELAY_CREDENTIAL_KEYS = new
    row.refresh_from_db()
    assert row.open() == PLATFORMS


def test_a_rotation_says_what_it_cannot_open(provider: Provider, tenant_a: Tenant, settings: Any) -> None:
    set_credential(provider=provider, tenant=tenant_a, secret=OWN)
    settings.RELAY_CREDENTIAL_KEYS = {"k2": secrets.token_bytes(32)}
    with pytest.raises(CommandError, match=f"{provider.slug} of {tenant_a.slug}"):
        rotate()
    settings.RELAY_CREDENTIAL_KEYS = {}
    with pytest.raises(CommandError, match="RELAY_CREDENTIAL_KEYS"):
        rotate()


def rotate(**options: Any) -> str:
    out = StringIO()
    call_command("rotate_credential_keys", stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    "name", ["RELAY_SECRET_KEY", "RELAY_KEY_PEPPER", "RELAY_CREDENTIAL_KEYS", "RELAY_ADMIN_PASSWORD", "DATABASE_URL"]
)
def test_no_provider_gets_relays_own_secrets(
    name: str, provider: Provider, route: Route, tenant_a: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationError):
        CREDENTIAL_ENV(name)
    monkeypatch.setenv(name, "a-secret-of-relay")
    Provider.objects.filter(pk=provider.pk).update(credential_env=name)  # as by SQL
    assert seen_by(tenant_a, route)[1].credential == ""


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"base_url": "http://127.0.0.1:11434"}, "base_url"),
        ({"base_url": "http://localhost:11434"}, "base_url"),
        ({"base_url": "http://169.254.169.254/latest", "allow_private": True}, "base_url"),
        ({"base_url": ""}, "base_url"),
        ({"environments": ["with blanks "]}, "environments"),
        ({"environments": "development"}, "environments"),
    ],
)
def test_a_provider_that_may_not_be_is_refused_with_the_field_named(
    values: dict[str, Any], field: str, provider: Provider
) -> None:
    for name, value in values.items():
        setattr(provider, name, value)
    with pytest.raises(ValidationError) as refused:
        provider.full_clean(exclude=["name"])
    assert list(refused.value.message_dict) == [field]


def test_a_name_that_nobody_knows_yet_may_be_saved(provider: Provider) -> None:
    provider.base_url = "https://models.example.invalid/v1"
    provider.full_clean(exclude=["name"])


def test_loopback_is_fine_where_private_is_allowed(provider: Provider) -> None:
    provider.base_url, provider.allow_private = "http://localhost:11434", True
    provider.full_clean(exclude=["name"])


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"price_in_microusd": -1}, "price_in_microusd"),
        ({"price_out_microusd": 10_000_000_001}, "price_out_microusd"),
        ({"strengths": {"cooking": 1}}, "strengths"),
        ({"strengths": {"chat": 1.5}}, "strengths"),
        ({"strengths": {"chat": True}}, "strengths"),
        ({"strengths": ["chat"]}, "strengths"),
        ({"quality": 101}, "quality"),
        ({"options": ["x"]}, "options"),
    ],
)
def test_a_deployment_that_cannot_be_is_refused_with_the_field_named(
    values: dict[str, Any], field: str, deployment: Deployment
) -> None:
    for name, value in values.items():
        setattr(deployment, name, value)
    with pytest.raises(ValidationError) as refused:
        deployment.full_clean()
    assert list(refused.value.message_dict) == [field]
