"""Control pages of the console: policies (with the editor) and routes. `catalogue_admin.py` has the providers."""

from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from routing import services
from routing.canary_admin import CanaryAdmin
from routing.editor import page, views
from routing.models import Canary, Policy, PolicyVersion, Route
from routing.route_admin import RouteAdmin
from tenants.access import Role
from tenants.console import TenantOwnedAdmin
from tenants.page import pill, when


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
admin.site.register(Canary, CanaryAdmin)
