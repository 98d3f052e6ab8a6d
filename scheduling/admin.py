"""The lanes in the console. There are exactly two, for all tenants: staff of the platform edits them."""

from typing import ClassVar

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from scheduling.models import Lane
from tenants.models import User


@admin.register(Lane)
class LaneAdmin(ModelAdmin):
    list_display: ClassVar = ["title", "weight", "protected_percent", "max_queue", "wait_slo_ms", "degraded_max_tokens"]
    readonly_fields: ClassVar = ["slug"]

    def has_view_permission(self, request: HttpRequest, obj: Lane | None = None) -> bool:
        return _is_platform_staff(request)

    def has_change_permission(self, request: HttpRequest, obj: Lane | None = None) -> bool:
        return _is_platform_staff(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_platform_staff(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Lane | None = None) -> bool:
        return False


def _is_platform_staff(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_staff_of_platform
