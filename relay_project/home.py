"""The console's first page: is everything fine, and if not, what to do. One tenant, or for staff all together."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from relay_project.checklist import checklist
from tenants.access import tenants_of
from traces.core.periods import SPANS, period_of
from traces.core.query import DEFAULT_RANGE, RANGE_WORDS
from traces.home.figures import figures
from traces.home.tenants import all_tenants
from traces.viewer.access import tenant_of


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    tenant, now = tenant_of(request), timezone.now()
    span = request.GET.get("range", "")
    span = span if span in SPANS else DEFAULT_RANGE
    period = period_of(span, now)
    whose = tenant.slug if tenant else "all"
    context |= {
        "title": "Home",
        "subtitle": tenant.name if tenant else "All tenants",
        "now": now,
        "tenant": tenant,
        "period": period,
        "span": span,
        "range_words": RANGE_WORDS[span],
        "ranges": [
            {"words": RANGE_WORDS[name], "name": name, "url": f"?tenant={whose}&range={name}"} for name in SPANS
        ],
        "here": f"?tenant={whose}&range={span}",
    }
    if tenant is None:
        return context | {"all": all_tenants(tenants_of(request.user), period)}
    found = figures(tenant, period, now)
    return context | {"figures": found, "checklist": [] if found.own_traffic else checklist(tenant)}
