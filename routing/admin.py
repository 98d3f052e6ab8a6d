"""Control pages of the console: policies (with the editor), routes, providers, deployments."""

from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Field, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from routing import services
from routing.editor import page, views
from routing.models import Deployment, Policy, PolicyVersion, Provider, Route
from routing.route_admin import RouteAdmin, deployments_for
from tenants.access import Role
from tenants.console import StaffAdmin, TenantOwnedAdmin
from tenants.page import current_tenant, is_platform_staff, may, pill, when


@admin.register(Policy)
class PolicyAdmin(TenantOwnedAdmin):
    write_role = Role.EDITOR
    platform_rows = True
    fields: ClassVar = ["slug", "name"]
    list_display: ClassVar = ["name_and_slug", "live", "draft", "last_change", "author", "scope"]
    search_fields: ClassVar = ["slug", "name"]
    list_before_template = "routing/policy_list_head.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        newest = PolicyVersion.objects.filter(policy=OuterRef("pk")).order_by("-number")
        rows: QuerySet[Any] = super().get_queryset(request)
        rows = rows.annotate(
            newest=Subquery(newest.values("number")[:1]),
            changed_at=Subquery(newest.values("created_at")[:1]),
            changed_by=Subquery(newest.values("author")[:1]),
        )
        return rows

    @admin.display(description="Policy", ordering="slug")
    def name_and_slug(self, policy: Policy) -> SafeString:
        name = "" if policy.name == policy.slug else policy.name
        return format_html('{} <span class="relay-muted relay-small">{}</span>', policy.slug, name)

    @admin.display(description="Live", ordering="active_version")
    def live(self, policy: Policy) -> SafeString:
        return (
            pill("active", "check", f"v{policy.active_version}")
            if policy.active_version
            else pill("plain", "remove", "None")
        )

    @admin.display(description="Draft")
    def draft(self, policy: Any) -> SafeString | str:
        return (
            pill("draft", "edit", f"v{policy.newest}")
            if policy.newest and policy.newest > (policy.active_version or 0)
            else "–"
        )

    @admin.display(description="Last change", ordering="changed_at")
    def last_change(self, policy: Any) -> SafeString | str:
        return when(policy.changed_at)

    @admin.display(description="By", ordering="changed_by")
    def author(self, policy: Any) -> str:
        return policy.changed_by or "–"

    @admin.display(description="For", ordering="tenant__name")
    def scope(self, policy: Policy) -> str:
        return policy.tenant.name if policy.tenant else "everybody"

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return list(self.list_display)

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "check": require_POST(partial(views.check, self)),
            "try": require_POST(partial(views.attempt, self)),
            "activate": partial(views.activate, self),
            "rollback": partial(views.rollback, self),
        }
        own = [
            path(f"<path:object_id>/{name}/", self.admin_site.admin_view(view), name=f"routing_policy_{name}")
            for name, view in pages.items()
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return views.edit(self, request, object_id)

    def save_model(self, request: HttpRequest, obj: Policy, form: Any, change: Any) -> None:
        author = request.user.get_username()
        obj.pk = services.create_policy(tenant=obj.tenant, slug=obj.slug, name=obj.name, author=author).pk

    def response_add(self, request: HttpRequest, obj: Policy, post_url_continue: str | None = None) -> HttpResponse:
        return HttpResponseRedirect(page.address(request, obj))


admin.site.register(Route, RouteAdmin)


class SharedAdmin(StaffAdmin):
    """Rows of the platform that tenants may read, as far as their routes use them."""

    staff_fields: ClassVar[list[str]] = []

    def visible(self, request: HttpRequest) -> "QuerySet[Deployment]":
        return deployments_for(current_tenant(request))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.VIEWER)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        hidden = [] if is_platform_staff(request) else self.staff_fields
        return [
            field.name
            for field in self.opts.fields
            if field.editable and not field.primary_key and field.name not in hidden
        ]


@admin.register(Provider)
class ProviderAdmin(SharedAdmin):
    staff_fields: ClassVar = ["base_url", "credential_env"]
    list_display: ClassVar = ["name", "slug", "kind", "models", "state"]
    search_fields: ClassVar = ["slug", "name"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = super().get_queryset(request)
        if is_platform_staff(request):
            return rows.prefetch_related("deployments")
        shown = self.visible(request)
        return rows.filter(deployments__in=shown).distinct()

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [name for name in self.list_display if name != "models" or is_platform_staff(request)]

    def formfield_for_dbfield(self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "base_url":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @admin.display(description="Deployments")
    def models(self, provider: Provider) -> str:
        return ", ".join(deployment.slug for deployment in provider.deployments.all()) or "none"

    @admin.display(description="State", ordering="enabled")
    def state(self, provider: Provider) -> SafeString:
        return pill("ok", "check", "On") if provider.enabled else pill("inactive", "block", "Off")


class DeploymentForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Deployment
        fields = "__all__"  # noqa: DJ007  # staff only; the page names its fields

    def clean_options(self) -> dict[str, Any]:
        options = self.cleaned_data["options"] or {}
        if not isinstance(options, dict) or "\\u0000" in forms.JSONField().prepare_value(options):
            raise ValidationError('Must be a JSON object like {"mean_ms": 200}.')
        return options


@admin.register(Deployment)
class DeploymentAdmin(SharedAdmin):
    form = DeploymentForm
    staff_fields: ClassVar = ["options"]
    list_display: ClassVar = ["slug", "provider", "model", "capacity", "price", "state"]
    list_select_related: ClassVar = ["provider"]
    search_fields: ClassVar = ["slug", "model"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows if is_platform_staff(request) else rows.filter(pk__in=self.visible(request))

    @admin.display(description="Price in / out, per million")
    def price(self, deployment: Deployment) -> str:
        prices = (deployment.price_in_microusd, deployment.price_out_microusd)
        return " / ".join(f"${price / 1_000_000:,.2f}" if price else "$0" for price in prices)

    @admin.display(description="State", ordering="enabled")
    def state(self, deployment: Deployment) -> SafeString:
        if not deployment.enabled:
            return pill("inactive", "block", "Off")
        on = deployment.provider.enabled
        return pill("ok", "check", "On") if on else pill("limited", "block", "Provider is off")
