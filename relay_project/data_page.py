"""“Data” in the console: an owner takes out all that Relay holds of the tenant, or erases what people wrote."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminDateWidget, UnfoldAdminTextInputWidget

from relay_project.erase import Content, erase_content
from relay_project.export import export_lines, record_export
from tenants.access import Role
from tenants.models import Tenant
from tenants.page import current_tenant, may, with_tenant


class EraseForm(forms.Form):
    before = forms.DateField(
        required=False, widget=UnfoldAdminDateWidget, label="Of traces before", help_text="A day in UTC. Empty: of all."
    )
    user = forms.CharField(
        required=False,
        max_length=512,
        widget=UnfoldAdminTextInputWidget,
        label="Of one end user",
        help_text="What the application sent as “user”. Empty: of everybody.",
    )
    confirm = forms.CharField(widget=UnfoldAdminTextInputWidget, label="To confirm")

    def __init__(self, tenant: Tenant, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant = tenant
        self.fields["confirm"].help_text = f"Type “{tenant.slug}”. There is no way back."

    def clean_confirm(self) -> str:
        typed: str = self.cleaned_data["confirm"]
        if typed != self.tenant.slug:
            raise forms.ValidationError(f"Type “{self.tenant.slug}”.")
        return typed

    def content(self) -> Content:
        day = self.cleaned_data["before"]
        before = datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None
        return Content(before, self.cleaned_data["user"] or None)


@never_cache
def data(request: HttpRequest) -> HttpResponse:
    tenant = owned_tenant(request)
    form = EraseForm(tenant, request.POST or None)
    if request.method == "POST" and form.is_valid():
        found = erase_content(tenant=tenant, content=form.content())
        messages.success(
            request,
            f"Erased the content of {found.traces:,} traces and {found.entries + found.answers:,} stored answers.",
        )
        return redirect(with_tenant(request, request.path))
    context = {**admin.site.each_context(request), "title": "Data", "subtitle": tenant.name, "form": form}
    return TemplateResponse(request, "tenants/data.html", context | {"slug": tenant.slug})


@require_POST
@never_cache
def export(request: HttpRequest) -> HttpResponseBase:
    """All rows as a stream; an error on the way ends it before its time."""
    tenant = owned_tenant(request)
    record_export(tenant)
    name = f"{tenant.slug}-{timezone.now():%Y%m%dT%H%M%SZ}.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(export_lines(tenant), content_type="application/x-ndjson", headers=headers)


def owned_tenant(request: HttpRequest) -> Tenant:
    """404 for everybody but owners of the page's tenant and staff who chose one."""
    tenant = current_tenant(request)
    if tenant is None or not may(request, Role.OWNER):
        raise Http404("Nothing here has this address.")
    return tenant
