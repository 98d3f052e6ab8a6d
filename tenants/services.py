"""Every write to tenants, keys and quotas. The console and the commands call these; nothing else writes."""

import secrets
from datetime import datetime

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from tenants.core.apikeys import NewKey, digest_of, make_key
from tenants.models import ApiKey, Domain, Membership, Quota, Tenant, User


def create_tenant(*, slug: str, name: str = "", content: str = Tenant.Content.FULL) -> Tenant:
    """A tenant with its schema (about half a second). Raises ValidationError that names the field."""
    tenant = Tenant(slug=slug, name=name or slug, schema_name=schema_of(slug), content=content)
    tenant.full_clean(exclude=["schema_name"])
    tenant.save(verbosity=0)  # else django-tenants prints each migration to stdout
    Domain.objects.create(tenant=tenant, domain=f"{slug}.relay.invalid", is_primary=True)
    return tenant


def schema_of(slug: str) -> str:
    """The tenant's PostgreSQL schema; a prefix keeps clear of public, pg_* and information_schema."""
    return f"t_{slug.replace('-', '_')}"


def create_api_key(
    *,
    tenant: Tenant,
    name: str,
    scopes: list[str] | None = None,
    expires_at: datetime | None = None,
    created_by: str = "",
) -> tuple[ApiKey, str]:
    """The row and the key's text, which is shown once and kept nowhere."""
    key = make_key(secrets.token_bytes(64))
    row = ApiKey(tenant=tenant, name=name, scopes=scopes or [], expires_at=expires_at, created_by=created_by)
    return save_api_key(row, key), key.text


def save_api_key(row: ApiKey, key: NewKey) -> ApiKey:
    """The row with the key's fingerprint. Raises ValidationError that names the field."""
    row.key_id, row.digest = key.key_id, digest_of(key.text, settings.RELAY_KEY_PEPPER)
    row.full_clean()
    row.save()
    return row


@transaction.atomic
def revoke_api_key(*, key: ApiKey) -> bool:
    """Dead in every process within a second. False if it was revoked already."""
    return bool(ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()))


def find_person(who: str) -> User | None:
    """By user name, else by e-mail address. Raises ValidationError if several people have that address."""
    if exact := User.objects.filter(username=who).first():
        return exact
    found = list(User.objects.filter(email__iexact=who)[:2]) if "@" in who else []
    if len(found) > 1:
        raise ValidationError("Several people have this address; give the user name.")
    return found[0] if found else None


@transaction.atomic
def add_member(*, tenant: Tenant, who: str, role: str) -> tuple[Membership, bool]:
    """The membership, and whether the person is new to the console (and so has no password yet).
    Raises ValidationError for a bad name or somebody who is a member already."""
    person = find_person(who)
    is_new = person is None
    if person is None:
        person = User(username=who, email=who if "@" in who else "")
        person.set_unusable_password()
        person.full_clean()
        person.save()
    membership = Membership(tenant=tenant, user=person, role=role)
    membership.full_clean()
    membership.save()
    User.objects.filter(pk=person.pk, is_staff=False).update(is_staff=True)
    return membership, is_new


def save_quota(quota: Quota) -> Quota:
    """In force within a second. Raises ValidationError that names the field."""
    quota.full_clean()
    quota.save()
    return quota
