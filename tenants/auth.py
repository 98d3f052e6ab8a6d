"""A request's key becomes a ``Caller``, from values in memory: no query, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tenants.core.apikeys import key_id_of, matches
from tenants.core.limits import Limit
from tenants.models import ApiKey, Quota, Tenant


@dataclass(frozen=True, slots=True)
class Caller:
    tenant_id: int
    tenant: str
    schema: str
    key_id: str
    key_name: str
    keep_content: bool
    scopes: frozenset[str] = frozenset()
    quotas: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredKey:
    caller: Caller
    digest: str
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Callers:
    """Everybody who may call: by key id, and by tenant for the open tenant of development."""

    by_key_id: Mapping[str, StoredKey] = field(default_factory=dict)
    keyless: Mapping[str, Caller] = field(default_factory=dict)


class NotAuthenticated(Exception):
    """No usable key. ``code`` is OpenAI's: invalid_api_key for every way in which a key can be wrong."""

    def __init__(self, message: str, code: str = "invalid_api_key") -> None:
        super().__init__(message)
        self.code = code


class NotAllowed(Exception):
    """A good key that may not do this."""

    def __init__(self, message: str, param: str | None = None, code: str = "forbidden") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class Door:
    """How keys are checked here: the pepper of their digests, and the tenant that needs none (development only)."""

    pepper: str
    open_tenant: str = ""


def authenticate(callers: Callers, door: Door, *, authorization: str, tenant: str, now: float) -> Caller:
    """Raises NotAuthenticated (401) or NotAllowed (403). ``tenant`` is the X-Tenant-Id header: it may only confirm."""
    if not authorization:
        if door.open_tenant and tenant == door.open_tenant and tenant in callers.keyless:
            return callers.keyless[tenant]
        raise NotAuthenticated("No API key was sent. Send it as “Authorization: Bearer sk-relay-…”.", "missing_api_key")
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    key_id = key_id_of(key) if scheme.lower() == "bearer" else None
    stored = callers.by_key_id.get(key_id or "")
    if stored is None or not matches(key, door.pepper, stored.digest):
        raise NotAuthenticated("This API key is not valid. Check that it was copied whole and was not revoked.")
    if stored.expires_at is not None and stored.expires_at <= now:
        raise NotAuthenticated("This API key has expired. Ask an admin of your tenant for a new one.")
    if tenant and tenant != stored.caller.tenant:
        raise NotAllowed("X-Tenant-Id does not name the tenant of this API key. Leave the header out.", "X-Tenant-Id")
    return stored.caller


def may(caller: Caller, scope: str) -> bool:
    return not caller.scopes or scope in caller.scopes


def require(caller: Caller, scope: str) -> None:
    if not may(caller, scope):
        raise NotAllowed(f"This API key lacks the scope “{scope}”.", code="missing_scope")


def load_callers() -> Callers:
    """All keys that are neither revoked nor of an inactive tenant, as values (ORM; never on the event loop)."""
    quotas: dict[int, list[Limit]] = {}
    for quota in Quota.objects.select_related("api_key", "tenant"):
        quotas.setdefault(quota.tenant_id, []).append(limit_of(quota))
    tenants = {tenant.pk: tenant for tenant in Tenant.objects.filter(active=True).exclude(schema_name="public")}
    by_key_id = {
        row.key_id: StoredKey(
            _caller(tenants[row.tenant_id], quotas, row),
            row.digest,
            row.expires_at.timestamp() if row.expires_at else None,
        )
        for row in ApiKey.objects.filter(revoked_at=None, tenant__in=tenants)
    }
    return Callers(by_key_id, {tenant.slug: _caller(tenant, quotas, None) for tenant in tenants.values()})


def limit_of(quota: Quota) -> Limit:
    return Limit(
        key=f"q{quota.pk}",
        metric=quota.metric,
        window=quota.window,
        limit=quota.limit,
        hard=quota.hard,
        timezone=quota.timezone,
        tenant=quota.tenant.slug,
        api_key=quota.api_key.key_id if quota.api_key else "",
    )


def _caller(tenant: Tenant, quotas: dict[int, list[Limit]], key: ApiKey | None) -> Caller:
    key_id = key.key_id if key else ""
    return Caller(
        tenant_id=tenant.pk,
        tenant=tenant.slug,
        schema=tenant.schema_name,
        key_id=key_id,
        key_name=key.name if key else "(no key)",
        keep_content=tenant.content == Tenant.Content.FULL,
        scopes=frozenset(key.scopes) if key else frozenset(),
        quotas=tuple(limit for limit in quotas.get(tenant.pk, ()) if limit.api_key in ("", key_id)),
    )
