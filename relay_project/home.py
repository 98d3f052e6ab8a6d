"""The console's first page: is everything fine, and if not, what to do. One tenant, or for staff a table of all."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from relay_project.checklist import checklist
from tenants.access import tenants_of
from traces.core.query import RANGE_WORDS, RANGES, read_query
from traces.home.figures import figures
from traces.home.tenants import all_tenants
from traces.viewer.access import tenant_of

POLLED_RANGES = ("1h", "24h", "7d", "30d")


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    tenant, now = tenant_of(request), timezone.now()
    context |= {"title": "Home", "now": now, "tenant": tenant}
    if tenant is None:
        context |= {"subtitle": "All tenants", "rows": all_tenants(tenants_of(request.user), now)}
        return context
    query = read_query(request.GET.dict(), tenant=tenant.slug, now=now)
    if query.range not in RANGES:
        query = read_query({}, tenant=tenant.slug, now=now)
    found = figures(query, now)
    return context | {
        "subtitle": tenant.name,
        "query": query,
        "ranges": {name: RANGE_WORDS[name] for name in POLLED_RANGES},
        "range_words": RANGE_WORDS[query.range],
        "figures": found,
        "checklist": [] if found.own_traffic else checklist(tenant),
    }
