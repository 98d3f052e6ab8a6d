"""Which tenant a console page is about: ``?tenant=slug`` (kept in the session), one of the user's own, or 404."""

from collections.abc import Callable

from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse

from tenants.access import tenants_of
from tenants.models import Tenant

SESSION_KEY = "relay_tenant"


class ConsoleTenantMiddleware:
    """Sets ``request.tenant`` (None = all tenants, staff only) and the schema for console pages; a sync middleware,
    so that the schema and the queries of the page share one thread. The API does not pass here with a tenant."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.tenant = None  # type: ignore[attr-defined]
        if not request.path.startswith("/admin/") or not request.user.is_authenticated:
            return self.get_response(request)
        tenant = choose_tenant(request)
        request.tenant = tenant  # type: ignore[attr-defined]
        try:
            if tenant is None:
                connection.set_schema_to_public()  # type: ignore[attr-defined]
            else:
                connection.set_tenant(tenant)  # type: ignore[attr-defined]
            return self.get_response(request)
        finally:
            connection.set_schema_to_public()  # type: ignore[attr-defined]


def choose_tenant(request: HttpRequest) -> Tenant | None:
    """The tenant that the URL names, else the session's, else the user's first; staff may look at all (None)."""
    allowed = tenants_of(request.user)
    asked = request.GET.get("tenant", "")
    if asked:
        if asked not in {tenant.slug for tenant in allowed} and not (
            asked == "all" and request.user.is_staff_of_platform  # type: ignore[union-attr]
        ):
            raise Http404("No such tenant.")
        if request.session.get(SESSION_KEY) != asked:
            request.session[SESSION_KEY] = asked
    chosen = request.session.get(SESSION_KEY)
    if chosen == "all" and request.user.is_staff_of_platform:  # type: ignore[union-attr]
        return None
    return next((tenant for tenant in allowed if tenant.slug == chosen), allowed[0] if allowed else None)
