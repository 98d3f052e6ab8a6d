"""What all admins of the console share: rows of the current tenant only, verbs by role, tenant set by the server."""

from typing import Any, ClassVar

from django import forms
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponseRedirect
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from tenants.access import Role
from tenants.models import Tenant
from tenants.page import current_tenant, is_platform_staff, may, with_tenant


class TenantChangeList(ChangeList):  # type: ignore[misc]
    """``?tenant=`` names the page's tenant; it is no filter of the list."""

    def get_filters_params(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        filters: dict[str, Any] = super().get_filters_params(params)
        filters.pop("tenant", None)
        return filters


class ConsoleAdmin(ModelAdmin):  # type: ignore[misc]
    """Links keep the tenant, no bulk actions, and what one may not see is not found."""

    actions = None
    empty_value_display = "–"
    list_fullwidth = True
    compressed_fields = True
    list_per_page = 50

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return TenantChangeList

    def get_preserved_filters(self, request: HttpRequest) -> str:
        kept: str = super().get_preserved_filters(request)
        return with_tenant(request, f"?{kept}" if kept else "").removeprefix("?")

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponseRedirect:
        raise Http404("Nothing here has this address.")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))


class StaffAdmin(ConsoleAdmin):
    """Rows of the platform: its staff only."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_platform_staff(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_platform_staff(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_platform_staff(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_platform_staff(request)


class TenantForm(forms.ModelForm):  # type: ignore[type-arg]
    """``tenant`` is never a field: it is set before validation, so that the constraints that name it are checked."""

    tenant: ClassVar[Tenant | None] = None
    request: ClassVar[HttpRequest]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            self.instance.tenant = self.tenant
        for field in self.fields.values():
            if isinstance(field.widget, RelatedFieldWidgetWrapper):
                field.widget = field.widget.widget
            if isinstance(field, forms.ModelChoiceField) and field.queryset is not None:
                field.queryset = self.choices_of(field.queryset)

    def choices_of(self, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        """Rows of the same tenant, and those of the platform."""
        return rows_for(queryset, self.instance.tenant, shared=True)

    def _get_validation_exclusions(self) -> set[str]:
        return super()._get_validation_exclusions() - {"tenant"}  # type: ignore[misc,no-any-return]


def rows_for(queryset: "QuerySet[Any]", tenant: Tenant | None, *, shared: bool) -> "QuerySet[Any]":
    """The tenant's rows, with ``shared`` also the platform's; untouched if the rows belong to nobody."""
    try:
        nullable = queryset.model._meta.get_field("tenant").null
    except FieldDoesNotExist:
        return queryset
    mine = Q(tenant=tenant) if tenant else Q(tenant=None)
    return queryset.filter(mine | Q(tenant=None) if shared and nullable else mine)


class TenantOwnedAdmin(ConsoleAdmin):
    """Rows of one tenant. ``platform_rows``: rows without a tenant are the platform's, to be read by everybody."""

    form = TenantForm
    write_role: ClassVar[str] = Role.ADMIN
    delete_role: ClassVar[str | None] = Role.ADMIN
    platform_rows: ClassVar[bool] = False

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = super().get_queryset(request).select_related("tenant")
        tenant = current_tenant(request)
        if tenant is None:
            return rows if is_platform_staff(request) else rows.none()
        return rows_for(rows, tenant, shared=self.platform_rows)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"tenant": current_tenant(request), "request": request})

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        columns = list(super().get_list_display(request))
        return columns if current_tenant(request) else [columns[0], "tenant_name", *columns[1:]]

    def tenant_name(self, obj: Any) -> str:
        return obj.tenant.name if obj.tenant else "Platform"

    tenant_name.short_description = "Tenant"  # type: ignore[attr-defined]
    tenant_name.admin_order_field = "tenant__name"  # type: ignore[attr-defined]

    def may_write(self, request: HttpRequest, obj: Model | None, role: str) -> bool:
        if obj is not None and getattr(obj, "tenant_id", None) is None:
            return is_platform_staff(request)
        return may(request, role)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.VIEWER)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Staff who look at all tenants add rows of the platform, where there are such."""
        return may(request, self.write_role) and (self.platform_rows or current_tenant(request) is not None)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may_write(request, obj, self.write_role)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.delete_role is not None and self.may_write(request, obj, self.delete_role)
