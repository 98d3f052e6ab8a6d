"""Providers' credentials: every write to the stored ones, and which one counts for whom.

A tenant's own goes before the platform's, and that before the environment's. One that is stored but does not open never
gives way to the next: the tenant would pay with another's account without knowing.
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.conf import settings
from django.core.exceptions import ValidationError

from routing.models import ACCOUNT_ID, CREDENTIAL_ENV, Credential, Provider
from routing.sealing import CannotOpen, CannotSeal, key_of, rewrap, seal
from tenants.models import Tenant

log = logging.getLogger("relay.credentials")
MAX_LENGTH = 4096  # session tokens of AWS have about 1,000 characters
HINTED_LENGTH = 16  # of a shorter one, four characters would say too much
NO_KEYS = "Relay has no key to seal it with: set RELAY_CREDENTIAL_KEYS and restart (see the README)."
NOT_OPENED = "Its credential cannot be opened: enter it again."


@dataclass(frozen=True, slots=True)
class Opened:
    """A credential ready for use, or why there is none. ``secret`` is empty for providers that need none."""

    secret: str = field(default="", repr=False)
    problem: str = ""


Stored = Mapping[tuple[int, int | None], Opened]  # by provider and tenant (None: the platform's)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation of keys did (or would do)."""

    rewrapped: int
    current: int  # under the first key already
    lost: tuple[str, ...]  # names of those that no key opens

    def __add__(self, other: "Rotation") -> "Rotation":
        return Rotation(self.rewrapped + other.rewrapped, self.current + other.current, self.lost + other.lost)


def set_credential(*, provider: Provider, tenant: Tenant | None, secret: str, author: str = "") -> Credential:
    """In force everywhere within a second. Raises ValidationError that names “secret”."""
    if problem := problem_of(provider, secret):
        raise ValidationError({"secret": problem})
    try:
        sealed = seal(settings.RELAY_CREDENTIAL_KEYS, secret, Credential(provider=provider, tenant=tenant).context)
    except CannotSeal:
        raise ValidationError({"secret": NO_KEYS}) from None
    hint = secret[-4:] if len(secret) >= HINTED_LENGTH else ""
    values = {"sealed": sealed, "hint": hint, "created_by": author[:150]}
    return Credential.objects.update_or_create(provider=provider, tenant=tenant, defaults=values)[0]


def clear_credential(*, provider: Provider, tenant: Tenant | None) -> bool:
    """Whether there was one."""
    return bool(Credential.objects.filter(provider=provider, tenant=tenant).delete()[0])


def problem_of(provider: Provider, secret: str) -> str:
    """What is wrong with the text, without a word of it; empty if nothing is."""
    if not secret:
        return "Enter the credential."
    if len(secret) > MAX_LENGTH:
        return f"It has {len(secret):,} characters; at most {MAX_LENGTH:,} are possible."
    if not re.fullmatch(r"[!-~]+", secret):
        return "It holds a blank, a line break or a character that is not ASCII: copy it again."
    if provider.kind == Provider.Kind.BEDROCK and not re.fullmatch(r"[^:]+:[^:]+(:[^:]+)?", secret):
        return "Write ACCESS_KEY_ID:SECRET_ACCESS_KEY, or with a session token ACCESS_KEY_ID:SECRET_ACCESS_KEY:TOKEN."
    return ""


def stored_credentials() -> Stored:
    """All that are stored, opened (ORM; never on the event loop)."""
    return {(row.provider_id, row.tenant_id): opened(row) for row in Credential.objects.select_related("provider")}


def opened(row: Credential) -> Opened:
    try:
        return Opened(row.open())
    except CannotOpen as error:
        whose = {"provider": row.provider.slug, "tenant_id": row.tenant_id}
        log.error("a credential cannot be opened: %s Enter it again.", error, extra=whose)
        return Opened(problem=NOT_OPENED)


def credential_for(provider: Provider, tenant_id: int | None, stored: Stored) -> Opened:
    found = stored.get((provider.pk, tenant_id)) or stored.get((provider.pk, None))
    if found is not None:
        return found
    name = provider.credential_env
    secret = os.environ.get(name, "").strip() if re.fullmatch(CREDENTIAL_ENV.regex, name) else ""
    if secret or not (name or provider.needs_credential):
        return Opened(secret)
    return Opened(problem=f"It needs a credential: store one{f' or set {name}' if name else ''}.")


def obstacle(provider: Provider, credential: Opened) -> str:
    """What keeps a provider from being used even if it is on, as a sentence; empty if nothing does."""
    if ACCOUNT_ID in provider.base_url:
        return f"Its address needs your account in place of {ACCOUNT_ID}."
    return credential.problem


def rotate_keys(*, dry_run: bool = False) -> Rotation:
    """Puts every stored credential under the first key. One that changes meanwhile is left as it was written."""
    keys = settings.RELAY_CREDENTIAL_KEYS
    rewrapped, current, lost = 0, 0, []
    for row in Credential.objects.select_related("provider", "tenant"):
        try:
            again = rewrap(keys, row.sealed, row.context)
        except CannotOpen:
            lost.append(f"{row.provider.slug} of {row.tenant.slug if row.tenant else 'the platform'}")
            continue
        if key_of(row.sealed) == key_of(again):
            current += 1
        elif dry_run or Credential.objects.filter(pk=row.pk, sealed=row.sealed).update(sealed=again):
            rewrapped += 1
    return Rotation(rewrapped, current, tuple(lost))
