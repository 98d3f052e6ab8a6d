import datetime as dt
import secrets
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from conftest import unique
from tenants.auth import (
    Caller,
    Callers,
    Door,
    NotAllowed,
    NotAuthenticated,
    StoredKey,
    authenticate,
    load_callers,
    require,
)
from tenants.core.apikeys import digest_of, make_key
from tenants.models import Quota, Tenant
from tenants.services import create_api_key, revoke_api_key

PEPPER = "pepper"
NOW = 1_000_000.0
KEY = make_key(secrets.token_bytes(64))
ACME = Caller(1, "acme", "t_acme", KEY.key_id, "web", True)
GLOBEX = Caller(2, "globex", "t_globex", "", "(no key)", True)
STORED = StoredKey(ACME, digest_of(KEY.text, PEPPER), None)
CALLERS = Callers({KEY.key_id: STORED}, {"acme": replace(ACME, key_id=""), "globex": GLOBEX})


def enter(
    authorization: str = f"Bearer {KEY.text}", *, tenant: str = "", open_tenant: str = "", stored: StoredKey = STORED
) -> Caller:
    callers = replace(CALLERS, by_key_id={KEY.key_id: stored})
    return authenticate(callers, Door(PEPPER, open_tenant), authorization=authorization, tenant=tenant, now=NOW)


def test_a_good_key_names_its_caller() -> None:
    assert enter() == ACME
    assert enter(f"bearer   {KEY.text} ") == ACME
    assert enter(tenant="acme") == ACME


def test_the_header_only_confirms_the_keys_tenant() -> None:
    with pytest.raises(NotAllowed) as refused:
        enter(tenant="globex")
    assert (refused.value.param, refused.value.code) == ("X-Tenant-Id", "forbidden")
    with pytest.raises(NotAllowed):
        enter(tenant="globex", open_tenant="globex")


@pytest.mark.parametrize(
    "authorization",
    [
        KEY.text,
        f"Basic {KEY.text}",
        "Bearer",
        "Bearer ",
        f"Bearer {KEY.text[:-1]}",
        f"Bearer {make_key(secrets.token_bytes(64)).text}",
        "Bearer sk-relay-é",
        f"Bearer {KEY.text}\x00",
    ],
    ids=["no scheme", "Basic", "no key", "an empty key", "cut", "another's", "not ASCII", "with NUL"],
)
def test_whatever_is_wrong_with_a_key_the_answer_is_the_same(authorization: str) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        enter(authorization, open_tenant="acme", tenant="acme")
    assert refused.value.code == "invalid_api_key"
    assert KEY.text not in str(refused.value)


def test_a_key_with_the_right_id_and_another_secret_is_refused() -> None:
    with pytest.raises(NotAuthenticated):
        enter(stored=replace(STORED, digest=digest_of(KEY.text, "another pepper")))


def test_a_key_ends_at_its_expiry() -> None:
    assert enter(stored=replace(STORED, expires_at=NOW + 1)) == ACME
    with pytest.raises(NotAuthenticated, match="expired"):
        enter(stored=replace(STORED, expires_at=NOW))


def test_only_the_open_tenant_needs_no_key() -> None:
    assert enter("", tenant="globex", open_tenant="globex") == GLOBEX
    for tenant, open_tenant in [("", ""), ("globex", ""), ("acme", "globex"), ("", "globex"), ("initech", "initech")]:
        with pytest.raises(NotAuthenticated) as refused:
            enter("", tenant=tenant, open_tenant=open_tenant)
        assert refused.value.code == "missing_api_key"


@given(st.text(), st.text())
def test_no_header_gets_in_by_accident(authorization: str, tenant: str) -> None:
    with pytest.raises((NotAuthenticated, NotAllowed)):
        enter(authorization, tenant=tenant)
    with pytest.raises(NotAuthenticated):
        enter(f"Bearer {authorization}", tenant=tenant)


def test_a_key_without_scopes_may_do_everything_and_one_with_scopes_only_those() -> None:
    require(ACME, "chat")
    limited = replace(ACME, scopes=frozenset({"models"}))
    require(limited, "models")
    with pytest.raises(NotAllowed) as refused:
        require(limited, "chat")
    assert refused.value.code == "missing_scope"


def test_rows_become_callers_with_the_quotas_that_concern_them(tenant_a: Any, tenant_b: Any) -> None:
    ends = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    row, text = create_api_key(tenant=tenant_a, name=unique("web"), scopes=["chat"], expires_at=ends)
    other, _ = create_api_key(tenant=tenant_a, name=unique("batch"))
    theirs, _ = create_api_key(tenant=tenant_b, name=unique("web"))
    quota = Quota.objects.create(tenant=tenant_a, api_key=row, metric="tokens", window="hour", limit=10**9)

    callers = load_callers()

    stored = callers.by_key_id[row.key_id]
    assert stored.expires_at == ends.timestamp()
    assert (stored.caller.tenant, stored.caller.schema) == ("acme", "t_acme")
    assert stored.caller.scopes == {"chat"}
    assert f"q{quota.pk}" in {limit.key for limit in stored.caller.quotas}
    for bystander in (callers.by_key_id[other.key_id].caller, callers.by_key_id[theirs.key_id].caller):
        assert f"q{quota.pk}" not in {limit.key for limit in bystander.quotas}
    assert f"q{quota.pk}" not in {limit.key for limit in callers.keyless["acme"].quotas}
    door = Door(settings.RELAY_KEY_PEPPER)
    assert authenticate(callers, door, authorization=f"Bearer {text}", tenant="", now=NOW) == stored.caller
    assert text not in repr(callers)


def test_revoked_keys_and_inactive_tenants_are_gone(tenant_a: Any, tenant_b: Any) -> None:
    revoked, _ = create_api_key(tenant=tenant_a, name=unique("old"))
    kept, _ = create_api_key(tenant=tenant_b, name=unique("kept"))
    assert revoke_api_key(key=revoked)
    assert not revoke_api_key(key=revoked)
    assert revoked.key_id not in load_callers().by_key_id

    Tenant.objects.filter(pk=tenant_b.pk).update(active=False)
    try:
        callers = load_callers()
        assert kept.key_id not in callers.by_key_id
        assert "globex" not in callers.keyless
        assert "public" not in {caller.schema for caller in callers.keyless.values()}
    finally:
        Tenant.objects.filter(pk=tenant_b.pk).update(active=True)
