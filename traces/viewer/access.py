"""Who may see what of a tenant's traces."""

from dataclasses import dataclass

from django.http import Http404, HttpRequest

from tenants.access import RANK, Role, role_in
from tenants.models import Tenant


@dataclass(frozen=True, slots=True)
class Seer:
    """``prompts``: may read prompts and answers, not only metadata. ``edits``: may forget what the cache stores."""

    tenant: Tenant
    prompts: bool
    edits: bool


def tenant_of(request: HttpRequest) -> Tenant | None:
    """The tenant that the console is about (set by the middleware, with its schema); None: all of them."""
    return getattr(request, "tenant", None)


def seer_of(request: HttpRequest) -> Seer:
    """404 where there is no tenant, or none that this person belongs to."""
    tenant = tenant_of(request)
    role = role_in(request.user, tenant)
    if tenant is None or role is None:
        raise Http404("Choose a tenant.")
    have = RANK[Role(role)]
    return Seer(tenant, prompts=have >= RANK[Role.ANALYST], edits=have >= RANK[Role.EDITOR])
