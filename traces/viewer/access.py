"""Who may see what of a tenant's traces."""

from dataclasses import dataclass

from django.http import Http404, HttpRequest

from tenants.access import Role, allows
from tenants.models import Tenant


@dataclass(frozen=True, slots=True)
class Seer:
    """``prompts``: may read prompts and answers, not only metadata."""

    tenant: Tenant
    prompts: bool


def tenant_of(request: HttpRequest) -> Tenant | None:
    """The tenant that the console is about (set by the middleware, with its schema); None: all of them."""
    return getattr(request, "tenant", None)


def seer_of(request: HttpRequest) -> Seer:
    """404 where there is no tenant, or none that this person belongs to."""
    tenant = tenant_of(request)
    if tenant is None or not allows(request.user, tenant, Role.VIEWER):
        raise Http404("Choose a tenant.")
    return Seer(tenant, allows(request.user, tenant, Role.ANALYST))
