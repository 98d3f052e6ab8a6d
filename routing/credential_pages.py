"""Pages under a provider that enter and clear its credential: the platform's for staff who look at all tenants, else
that of the current tenant. What was entered is never shown again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from routing.credentials import MAX_LENGTH, clear_credential, set_credential
from routing.models import Credential, Provider
from tenants.access import Role
from tenants.page import current_tenant, is_platform_staff, may, when, with_tenant

Page = Callable[[Any, HttpRequest, Provider], HttpResponse]


class CredentialForm(forms.Form):
    secret = forms.CharField(
        label="Credential",
        strip=False,
        max_length=MAX_LENGTH,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "spellcheck": "false"}),
    )


@dataclass(frozen=True, slots=True)
class Described:
    """What a page says of the credential of those for whom it is."""

    owner: str
    stored: str  # “…abcd”, or empty without one
    changed: Any
    author: str
    may_change: bool


def described(request: HttpRequest, provider: Provider) -> Described:
    tenant = current_tenant(request)
    row = Credential.objects.filter(provider=provider, tenant=tenant).first()
    return Described(
        owner=tenant.name if tenant else "everybody",
        stored=f"…{row.hint}" if row else "",
        changed=when(row.changed_at) if row else "",
        author=row.created_by if row else "",
        may_change=may_change(request),
    )


def may_change(request: HttpRequest) -> bool:
    return may(request, Role.ADMIN) if current_tenant(request) else is_platform_staff(request)


def of(site_admin: Any, page: Page, methods: list[str]) -> Callable[[HttpRequest, str], HttpResponse]:
    """A view of that page; what one may not see or change is not found."""

    @wraps(page)
    def view(request: HttpRequest, object_id: str) -> HttpResponse:
        provider = site_admin.get_object(request, object_id)
        if provider is None or not may_change(request):
            raise Http404("Nothing here has this address.")
        return page(site_admin, request, provider)

    return sensitive_post_parameters()(require_http_methods(methods)(view))


def enter(site_admin: Any, request: HttpRequest, provider: Provider) -> HttpResponse:
    form = CredentialForm(request.POST or None)
    tenant, author = current_tenant(request), request.user.get_username()
    if request.method == "POST" and form.is_valid():
        try:
            set_credential(provider=provider, tenant=tenant, secret=form.cleaned_data["secret"], author=author)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            site_admin.log_change(request, provider, f"Credential of {tenant or 'the platform'} entered.")
            site_admin.message_user(request, f"{provider.name} is asked with it within a second.")
            return HttpResponseRedirect(_back(request, provider))
    context = {
        **site_admin.admin_site.each_context(request),
        "opts": site_admin.opts,
        "original": provider,
        "title": f"Credential for {provider.name}",
        "provider": provider,
        "is_bedrock": provider.kind == Provider.Kind.BEDROCK,
        "credential": described(request, provider),
        "form": form,
        "back_url": _back(request, provider),
        "clear_url": with_tenant(request, reverse("admin:routing_provider_credential_clear", args=[provider.pk])),
    }
    return TemplateResponse(request, "routing/provider_credential.html", context)


def clear(site_admin: Any, request: HttpRequest, provider: Provider) -> HttpResponse:
    tenant = current_tenant(request)
    if clear_credential(provider=provider, tenant=tenant):
        site_admin.log_change(request, provider, f"Credential of {tenant or 'the platform'} cleared.")
        site_admin.message_user(request, f"The credential for {provider.name} is gone.")
    return HttpResponseRedirect(_back(request, provider))


def _back(request: HttpRequest, provider: Provider) -> str:
    return with_tenant(request, reverse("admin:routing_provider_change", args=[provider.pk]))
