"""Access pages of the console: API keys, quotas, members; for platform staff also tenants and users."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.tokens import default_token_generator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.html import format_html
from django.utils.http import urlsafe_base64_encode
from django.utils.safestring import SafeString
from django_tenants.utils import schema_context
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from tenants import services
from tenants.access import Role
from tenants.audit_admin import AuditAdmin
from tenants.console import StaffAdmin, TenantOwnedAdmin
from tenants.core.apikeys import PREFIX
from tenants.forms import ROLE_WORDS, ApiKeyForm, MembershipForm, NewMembershipForm, TenantRowForm
from tenants.models import ApiKey, AuditEntry, Membership, Quota, Tenant, User
from tenants.page import pill, when, with_tenant
from tenants.quota_admin import QuotaAdmin


@admin.register(ApiKey)
class ApiKeyAdmin(TenantOwnedAdmin):
    form = ApiKeyForm
    delete_role = None  # a key is revoked; its row stays as evidence
    fields: ClassVar = ["name", "scopes", "expires_at"]
    list_display: ClassVar = ["name", "prefix", "may_do", "last_used", "expires", "state"]
    search_fields: ClassVar = ["name", "key_id"]
    list_before_template = "tenants/apikey_list_head.html"
    change_form_outer_before_template = "tenants/apikey_head.html"

    @admin.display(description="Prefix")
    def prefix(self, key: ApiKey) -> SafeString:
        return format_html("<code>{}{}_…</code>", PREFIX, key.key_id)

    @admin.display(description="May")
    def may_do(self, key: ApiKey) -> str:
        return ", ".join(ApiKey.Scope(scope).label.lower() for scope in key.scopes) or "everything"

    @admin.display(description="Last used", ordering="last_used_at")
    def last_used(self, key: ApiKey) -> SafeString | str:
        return when(key.last_used_at, "never")

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, key: ApiKey) -> SafeString | str:
        return when(key.expires_at, "never")

    @admin.display(description="State")
    def state(self, key: ApiKey) -> SafeString:
        if key.revoked_at:
            return pill("inactive", "block", "Revoked")
        if key.expires_at and key.expires_at <= timezone.now():
            return pill("limited", "schedule", "Expired")
        return pill("ok", "check", "Active")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.revoked_at is None)

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(self.revoke_view)
        return [path("<path:object_id>/revoke/", revoke, name="tenants_apikey_revoke"), *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ApiKeyForm, change: Any) -> None:
        """The text of a new key lives on the request until its one page is rendered, and nowhere else."""
        if change:
            super().save_model(request, obj, form, change)
            return
        row, text = services.create_api_key(
            tenant=obj.tenant,
            name=obj.name,
            scopes=obj.scopes,
            expires_at=obj.expires_at,
            created_by=request.user.get_username(),
        )
        obj.pk, obj.key_id = row.pk, row.key_id
        request.relay_new_key = text  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"API key {obj.name}",
            "key": obj,
            "text": request.relay_new_key,  # type: ignore[attr-defined]
            "chats": not obj.scopes or ApiKey.Scope.CHAT in obj.scopes,
            "base_url": request.build_absolute_uri("/v1"),
            "list_url": with_tenant(request, reverse("admin:tenants_apikey_changelist")),
        }
        return TemplateResponse(request, "tenants/apikey_created.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        key = self.get_object(request, object_id)
        extra = {
            "key": key,
            "key_prefix": self.prefix(key) if key else "",
            "key_state": self.state(key) if key else "",
            "may_revoke": key is not None and self.has_change_permission(request, key),
            "revoke_url": with_tenant(request, reverse("admin:tenants_apikey_revoke", args=[object_id])),
        }
        page: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})
        return page

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.get_object(request, object_id)
        if key is None or not super().has_change_permission(request, key):
            raise Http404("Nothing here has this address.")
        page = with_tenant(request, reverse("admin:tenants_apikey_change", args=[key.pk]))
        if request.method == "POST":
            if services.revoke_api_key(key=key):
                self.log_change(request, key, "Revoked.")
            self.message_user(request, f"{key.name} is revoked: every request with it is refused from now on.")
            return HttpResponseRedirect(page)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": key,
            "title": f"Revoke {key.name}?",
            "key": key,
            "key_prefix": self.prefix(key),
            "last_used": self.last_used(key),
            "back_url": page,
        }
        return TemplateResponse(request, "tenants/apikey_revoke.html", context)


admin.site.register(Quota, QuotaAdmin)
admin.site.register(AuditEntry, AuditAdmin)


@admin.register(Membership)
class MembershipAdmin(TenantOwnedAdmin):
    write_role = delete_role = Role.OWNER
    list_display: ClassVar = ["person", "role_words", "added"]
    list_select_related: ClassVar = ["user"]
    list_before_template = "tenants/membership_list_head.html"
    readonly_fields: ClassVar = ["person"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("user")

    @admin.display(description="Person", ordering="user__username")
    def person(self, membership: Membership) -> str:
        return membership.user.get_full_name() or membership.user.get_username()

    @admin.display(description="Role", ordering="role")
    def role_words(self, membership: Membership) -> SafeString:
        name, _, meaning = ROLE_WORDS[membership.role]
        return format_html('{}: <span class="relay-dim">{}</span>', name, meaning)

    @admin.display(description="Added", ordering="created_at")
    def added(self, membership: Membership) -> SafeString | str:
        return when(membership.created_at)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["person", "role"] if obj else ["who", "role"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["person"] if obj else []

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = MembershipForm if obj else NewMembershipForm
        return super().get_form(request, obj, change=change, **{**kwargs, "fields": ["role"]})

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not self.is_own(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and not self.is_own(request, obj)

    def is_own(self, request: HttpRequest, obj: Membership | None) -> bool:
        return obj is not None and obj.user_id == request.user.pk

    def save_model(self, request: HttpRequest, obj: Membership, form: MembershipForm, change: Any) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        row, is_new = services.add_member(tenant=obj.tenant, who=form.cleaned_data["who"], role=obj.role)
        obj.pk, obj.user = row.pk, row.user
        request.relay_invited = row.user if is_new else None  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Membership, post_url_continue: str | None = None) -> HttpResponse:
        invited: User | None = request.relay_invited  # type: ignore[attr-defined]
        if invited is None:
            to_the_list: HttpResponse = super().response_add(request, obj, post_url_continue)
            return to_the_list
        uid = urlsafe_base64_encode(force_bytes(invited.pk))
        link = reverse("welcome", args=[uid, default_token_generator.make_token(invited)])
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Invite {invited.get_username()}",
            "person": invited,
            "tenant_row": obj.tenant,
            "link": request.build_absolute_uri(link),
            "days": settings.PASSWORD_RESET_TIMEOUT // 86_400,
            "list_url": with_tenant(request, reverse("admin:tenants_membership_changelist")),
        }
        return TemplateResponse(request, "tenants/member_invited.html", context)


@admin.register(Tenant)
class TenantAdmin(StaffAdmin):
    form = TenantRowForm
    list_display: ClassVar = ["name", "slug", "content", "state", "created"]
    search_fields: ClassVar = ["slug", "name"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).exclude(schema_name="public")

    @admin.display(description="State", ordering="active")
    def state(self, tenant: Tenant) -> SafeString:
        return pill("ok", "check", "Active") if tenant.active else pill("inactive", "block", "Off: all keys refused")

    @admin.display(description="Created", ordering="created_at")
    def created(self, tenant: Tenant) -> SafeString | str:
        return when(tenant.created_at)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["slug"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: Any) -> None:
        with schema_context("public"):
            if change:
                super().save_model(request, obj, form, change)
                return
            row = services.create_tenant(slug=obj.slug, name=obj.name, content=obj.content)
            Tenant.objects.filter(pk=row.pk).update(active=obj.active, trace_days=obj.trace_days)
            obj.pk = row.pk


@admin.register(User)
class UserAdmin(DjangoUserAdmin, StaffAdmin):  # type: ignore[type-arg,misc]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "kind", "last_seen")
    list_filter = ("is_active", "is_superuser")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ["username", "password", "first_name", "last_name", "email"]}),
        ("Access", {"fields": ["is_active", "is_staff", "is_superuser"]}),
    )
    add_fieldsets = ((None, {"fields": ["username", "email", "usable_password", "password1", "password2"]}),)

    @admin.display(description="Last signed in", ordering="last_login")
    def last_seen(self, person: User) -> SafeString | str:
        return when(person.last_login, "never")

    @admin.display(description="Kind")
    def kind(self, person: User) -> SafeString:
        if not person.is_active:
            return pill("inactive", "block", "Switched off")
        return (
            pill("decision", "shield_person", "Platform staff")
            if person.is_superuser
            else pill("running", "person", "Member")
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        return []
