"""The console's page of routes: where a model name or a path leads, and how its split falls."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline

from routing.catalogue_admin import deployments_for
from routing.core.split import problem_with
from routing.models import Deployment, Route, RouteCandidate
from routing.services import check_candidates
from routing.split_report import SplitReport, split_report
from tenants.access import Role
from tenants.console import TenantForm, TenantOwnedAdmin
from tenants.page import current_tenant, is_platform_staff, may, pill


class CandidateFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    def clean(self) -> None:
        """The problem stands at the field of the first row that has one."""
        super().clean()
        rows = [form for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        if any(self.errors):
            return
        shares = [form.cleaned_data.get("share") for form in rows]
        try:
            check_candidates(alias=self.instance.alias_of_id is not None, shares=shares)
        except ValidationError as error:
            for field, messages in error.message_dict.items():
                rows[0].add_error(field, messages)


class CandidateInline(TabularInline):  # type: ignore[misc]
    model = RouteCandidate
    formset = CandidateFormSet
    extra = 0
    fields: ClassVar = ["position", "deployment", "share"]
    verbose_name = "candidate"
    verbose_name_plural = "Candidates, in the order in which they are tried (a policy may order them anew)"

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        field = formset.form.base_fields.get("deployment")
        if field is not None:
            field.widget = getattr(field.widget, "widget", field.widget)
            field.queryset = (
                Deployment.objects.all() if is_platform_staff(request) else deployments_for(current_tenant(request))
            )
        return formset

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.VIEWER)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.tenant_id is None:
            return is_platform_staff(request)
        return may(request, Role.ADMIN)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)


class RouteForm(TenantForm):
    """Offers as an alias's target only what may be one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        target = self.fields.get("alias_of")
        if isinstance(target, forms.ModelChoiceField) and target.queryset is not None:
            target.queryset = target.queryset.filter(alias_of=None).exclude(pk=self.instance.pk)


class RouteAdmin(TenantOwnedAdmin):
    form = RouteForm
    platform_rows = True
    fields: ClassVar = ["name", "path", "alias_of", "policy", "sticky", "enabled"]
    list_display: ClassVar = ["name", "at", "leads_to", "policy", "state", "scope"]
    list_select_related: ClassVar = ["policy", "tenant", "alias_of"]
    inlines: ClassVar = [CandidateInline]
    search_fields: ClassVar = ["name", "path"]
    list_before_template = "routing/route_list_head.html"
    change_form_outer_after_template = "routing/route_split.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).prefetch_related("steps__deployment")

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return list(self.list_display)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        route = self.get_object(request, object_id)
        split = self._split(request, route) if route is not None else None
        context = {**(extra_context or {}), "split": split}
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def _split(self, request: HttpRequest, route: Route) -> SplitReport | None:
        """None without a split, and where no tenant is chosen whose traces could be read."""
        shares = shares_of(route)
        if current_tenant(request) is None or not shares:
            return None
        return split_report(route, shares, timezone.now())

    @admin.display(description="Path", ordering="path")
    def at(self, route: Route) -> SafeString | str:
        return format_html("<code>/v1/{}/</code>", route.path) if route.path else "–"

    @admin.display(description="Candidates, in order")
    def leads_to(self, route: Route) -> SafeString | str:
        if route.alias_of is not None:
            return f"as {route.alias_of.name}"
        shares = shares_of(route)
        names = [step.deployment.slug for step in route.steps.all()]
        if shares:
            by = "" if route.sticky == Route.Sticky.NONE else f", by {route.sticky}"
            return " · ".join(f"{name} {share} %" for name, share in shares.items()) + by
        return " → ".join(names) or "none"

    @admin.display(description="State", ordering="enabled")
    def state(self, route: Route) -> SafeString:
        return pill("ok", "check", "On") if route.enabled else pill("inactive", "block", "Off")

    @admin.display(description="For", ordering="tenant__name")
    def scope(self, route: Route) -> str:
        return route.tenant.name if route.tenant else "everybody"


def shares_of(route: Route) -> dict[str, int]:
    """Percent by deployment, in order; empty without a split."""
    steps = list(route.steps.all())
    if problem_with([step.share for step in steps]):
        return {}
    return {step.deployment.slug: step.share for step in steps if step.share is not None}
