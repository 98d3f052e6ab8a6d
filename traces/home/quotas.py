"""How much of a tenant's quotas is used in their present windows."""

from tenants.auth import limit_of
from tenants.models import Quota, Tenant
from tenants.usage import Use, uses

SHOWN = 5


def tightest(tenant: Tenant) -> list[Use] | None:
    """Those that are used up the most; None if that is not known now."""
    quotas = Quota.objects.filter(tenant=tenant).select_related("tenant", "api_key")
    found = uses([limit_of(quota) for quota in quotas])
    return None if found is None else sorted(found, key=lambda use: -use.percent)[:SHOWN]
