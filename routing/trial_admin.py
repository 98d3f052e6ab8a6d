"""What the console's pages of canaries and shadows share: who sees which, and who may act."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from tenants.access import Role
from tenants.console import ConsoleAdmin
from tenants.page import current_tenant, is_platform_staff, may, with_tenant


class TrialAdmin(ConsoleAdmin):
    """A tenant sees the trials of its own routes; those of the platform's routes hold figures of all tenants and are
    for its staff."""

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = super().get_queryset(request).select_related("route__tenant")
        tenant = current_tenant(request)
        if tenant is not None:
            return rows.filter(route__tenant=tenant)
        return rows if is_platform_staff(request) else rows.none()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.VIEWER)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request, Role.ADMIN)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.ADMIN)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def address(self, request: HttpRequest, row: Any, page: str = "change") -> str:
        return with_tenant(
            request, reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=[row.pk])
        )
