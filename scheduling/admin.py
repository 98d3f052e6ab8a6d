"""The lanes in the console. There are exactly two, for all tenants: staff edit them, nobody adds or deletes one."""

from typing import ClassVar

from django.contrib import admin
from django.http import HttpRequest

from scheduling.models import Lane
from tenants.console import StaffAdmin


@admin.register(Lane)
class LaneAdmin(StaffAdmin):
    list_display: ClassVar = ["title", "weight", "protected_percent", "max_queue", "wait_slo_ms", "degraded_max_tokens"]
    readonly_fields: ClassVar = ["slug"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Lane | None = None) -> bool:
        return False
