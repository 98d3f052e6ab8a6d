"""Control pages of the console: providers with their credentials, deployments with their prices and limits.

Staff own them. Tenants read what their routes use, and may bring a credential of their own for it.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline

from routing import credential_pages, deployment_pages
from routing.credentials import credential_for, obstacle, stored_credentials
from routing.deployment_pages import Lately
from routing.models import Deployment, DeploymentLimit, Provider
from tenants.access import Role
from tenants.console import StaffAdmin
from tenants.models import Tenant
from tenants.page import current_tenant, is_platform_staff, may, pill, with_tenant
from traces.core.formats import duration

PRICES = {"price_in_microusd", "price_out_microusd"}


def deployments_for(tenant: Tenant | None) -> "QuerySet[Deployment]":
    """Those behind the routes that the tenant may use: its own and the platform's."""
    return Deployment.objects.filter(
        Q(steps__route__tenant=tenant) | Q(steps__route__tenant=None), steps__isnull=False
    ).distinct()


def obstacles(request: HttpRequest, providers: "QuerySet[Provider]") -> dict[int, str]:
    """By provider, for whom the page is: why it is not used though it is on."""
    tenant, stored = current_tenant(request), stored_credentials()
    found = {}
    for row in providers:
        problem = obstacle(row, credential_for(row, tenant.pk if tenant else None, stored))
        if problem and not is_platform_staff(request):
            problem = "It needs a credential: bring your own or ask staff."
        found[row.pk] = problem
    return found


class SharedAdmin(StaffAdmin):
    """Rows of the platform that tenants may read, as far as their routes use them."""

    staff_fields: ClassVar[list[str]] = []

    def visible(self, request: HttpRequest) -> "QuerySet[Deployment]":
        return deployments_for(current_tenant(request))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.VIEWER)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """It names people and tenants."""
        if not is_platform_staff(request):
            raise Http404("Nothing here has this address.")
        page: HttpResponse = super().history_view(request, object_id, extra_context)
        return page

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        hidden = [] if is_platform_staff(request) else self.staff_fields
        return [
            field.name
            for field in self.opts.fields
            if field.editable and not field.primary_key and field.name not in hidden
        ]


def state_column(
    request: HttpRequest, shown: Callable[[Any, dict[int, str]], SafeString]
) -> Callable[[Any], SafeString]:
    """The column “State” of a list. What is missing is looked up once for all its rows."""
    known: dict[int, str] = {}

    @admin.display(description="State", ordering="enabled")
    def state(row: Any) -> SafeString:
        if not known:
            known.update(obstacles(request, Provider.objects.all()))
        return shown(row, known)

    return state


def lately_columns() -> list[Callable[[Any], str]]:
    """How the deployments of a list did, looked up once for all its rows."""
    known: dict[str, Lately] = {}

    def of(row: Deployment) -> Lately:
        if not known:
            known.update(deployment_pages.lately())
        return known.get(row.slug, Lately())

    @admin.display(description="p95")
    def p95(row: Deployment) -> str:
        return duration(of(row).p95_ms)

    @admin.display(description="Failed, last hour")
    def failed(row: Deployment) -> str:
        found = of(row)
        return "–" if found.failed_percent is None else f"{found.failed_percent:.1f}% of {found.attempts:,}"

    return [p95, failed]


@admin.register(Provider)
class ProviderAdmin(SharedAdmin):
    staff_fields: ClassVar = ["base_url", "credential_env", "needs_credential", "allow_private"]
    list_display: ClassVar = ["name", "slug", "kind", "where", "models"]
    search_fields: ClassVar = ["slug", "name"]
    list_before_template = "routing/provider_list_head.html"
    change_form_outer_before_template = "routing/provider_head.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = super().get_queryset(request)
        if is_platform_staff(request):
            return rows.prefetch_related("deployments")
        return rows.filter(deployments__in=self.visible(request)).distinct()

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        columns = [name for name in self.list_display if name != "models" or is_platform_staff(request)]
        return [*columns, state_column(request, self.state)]

    def get_urls(self) -> list[URLPattern]:
        enter = self.admin_site.admin_view(credential_pages.of(self, credential_pages.enter, ["GET", "POST"]))
        clear = self.admin_site.admin_view(credential_pages.of(self, credential_pages.clear, ["POST"]))
        own = [
            path("<path:object_id>/credential/clear/", clear, name="routing_provider_credential_clear"),
            path("<path:object_id>/credential/", enter, name="routing_provider_credential"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        provider = self.get_object(request, object_id)
        extra: dict[str, Any] = {}
        if provider is not None:
            missing = obstacles(request, Provider.objects.filter(pk=provider.pk))
            extra = {
                "provider": provider,
                "provider_state": self.state(provider, missing),
                "credential": credential_pages.described(request, provider),
                "credential_url": with_tenant(request, reverse("admin:routing_provider_credential", args=[object_id])),
            }
        page: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})
        return page

    @admin.display(description="Preferred in")
    def where(self, provider: Provider) -> str:
        return ", ".join(provider.environments) or "all"

    @admin.display(description="Deployments")
    def models(self, provider: Provider) -> str:
        return ", ".join(deployment.slug for deployment in provider.deployments.all()) or "none"

    @staticmethod
    def state(row: Provider, missing: dict[int, str]) -> SafeString:
        if not row.enabled:
            return pill("inactive", "block", "Off")
        if problem := missing.get(row.pk, ""):
            said = '{} <span class="relay-muted relay-small">{}</span>'
            return format_html(said, pill("limited", "key", "Not ready"), problem)
        return pill("ok", "check", "On")


class DeploymentForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Deployment
        fields = "__all__"  # noqa: DJ007  # staff only; the page names its fields

    def clean_options(self) -> dict[str, Any]:
        options = self.cleaned_data["options"] or {}
        if not isinstance(options, dict) or "\\u0000" in forms.JSONField().prepare_value(options):
            raise ValidationError('Must be a JSON object like {"mean_ms": 200}.')
        return options


class LimitInline(TabularInline):  # type: ignore[misc]
    model = DeploymentLimit
    extra = 0
    fields: ClassVar = ["metric", "window", "limit", "timezone"]
    verbose_name_plural = "What the provider grants (a tenant's own credential is not bound by it)"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.VIEWER)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_platform_staff(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_platform_staff(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_platform_staff(request)


@admin.register(Deployment)
class DeploymentAdmin(SharedAdmin):
    form = DeploymentForm
    inlines: ClassVar = [LimitInline]
    staff_fields: ClassVar = ["options"]
    list_display: ClassVar = ["slug", "provider", "model", "capacity", "price", "granted"]
    change_form_outer_before_template = "routing/deployment_head.html"
    list_select_related: ClassVar = ["provider"]
    search_fields: ClassVar = ["slug", "model"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = super().get_queryset(request).prefetch_related("limits")
        return rows if is_platform_staff(request) else rows.filter(pk__in=self.visible(request))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [*self.list_display, *lately_columns(), state_column(request, self.state)]

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(deployment_pages.test_view(self))
        return [path("<path:object_id>/test/", test, name="routing_deployment_test"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        extra: dict[str, Any] = {}
        if row is not None:
            routes = deployment_pages.routes_seen(request, current_tenant(request))
            needed, alone = deployment_pages.needed_by(row, routes)
            extra = {
                "deployment": row,
                "deployment_state": self.state(row, obstacles(request, Provider.objects.filter(pk=row.provider_id))),
                "lately": deployment_pages.lately().get(row.slug, deployment_pages.Lately()),
                "needed_by": needed,
                "alone_in": alone,
                "test_url": with_tenant(request, reverse("admin:routing_deployment_test", args=[row.pk])),
                "may_test": is_platform_staff(request),
            }
        page: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})
        return page

    def save_model(self, request: HttpRequest, obj: Deployment, form: Any, change: Any) -> None:
        """A price that somebody typed stays until somebody says otherwise."""
        if change and PRICES & set(form.changed_data) and "price_by_hand" not in form.changed_data:
            obj.price_by_hand = True
        super().save_model(request, obj, form, change)

    @admin.display(description="Price in / out, per million")
    def price(self, deployment: Deployment) -> str:
        prices = (deployment.price_in_microusd, deployment.price_out_microusd)
        said = " / ".join(f"${price / 1_000_000:,.2f}" if price else "$0" for price in prices)
        return f"{said}, by hand" if deployment.price_by_hand and any(prices) else said

    @admin.display(description="Granted")
    def granted(self, deployment: Deployment) -> str:
        return ", ".join(map(str, deployment.limits.all())) or "–"

    @staticmethod
    def state(row: Deployment, missing: dict[int, str]) -> SafeString:
        if not row.enabled:
            return pill("inactive", "block", "Off")
        if not row.provider.enabled:
            return pill("limited", "block", "Provider is off")
        missed = missing.get(row.provider_id)
        return pill("limited", "key", "Provider is not ready") if missed else pill("ok", "check", "On")
