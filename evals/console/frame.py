"""What the pages of evals share: who looks at which tenant, and the frame around a page."""

from typing import Any

from django.contrib.admin import site
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from tenants.access import tenants_of
from traces.viewer.access import Seer, seer_of, tenant_of


def editor_of(request: HttpRequest) -> Seer:
    """404 for those who may only look."""
    seer = seer_of(request)
    if not seer.edits:
        raise Http404("This needs the role editor.")
    return seer


def page(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
    tenant = tenant_of(request)
    frame = {**site.each_context(request), "title": title, "subtitle": tenant.name if tenant else "All tenants"}
    return TemplateResponse(request, template, frame | context)


def choose_tenant(request: HttpRequest, title: str) -> HttpResponse:
    return page(request, "evals/choose_tenant.html", title, tenants=tenants_of(request.user))
