"""The console's page of the audit log: who did what, to what, and what it was before. Nothing here can be changed."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from tenants.access import Role
from tenants.audit_words import object_words, value_words
from tenants.console import ConsoleAdmin
from tenants.models import AuditEntry
from tenants.page import current_tenant, is_platform_staff, may, pill, when

TONES = {
    "created": ("ok", "add"),
    "changed": ("running", "edit"),
    "deleted": ("failed", "delete"),
    "activated": ("decision", "rocket_launch"),
    "revoked": ("failed", "block"),
    "reset": ("limited", "restart_alt"),
    "reloaded": ("running", "sync"),
    "tested": ("running", "send"),
    "signed-in": ("ok", "login"),
    "signed-out": ("plain", "logout"),
    "not-signed-in": ("failed", "block"),
    "exported": ("decision", "download"),
    "erased": ("failed", "delete_forever"),
}
SHOWN = 3  # changes of an entry that the list shows


class ObjectFilter(admin.SimpleListFilter):
    title = "object"
    parameter_name = "of"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tables = model_admin.get_queryset(request).order_by("object").values_list("object", flat=True).distinct()
        return [(table, object_words(table)) for table in tables]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[AuditEntry]") -> "QuerySet[AuditEntry]":
        return queryset.filter(object=self.value()) if self.value() else queryset


class AuditAdmin(ConsoleAdmin):
    list_display: ClassVar = ["moment", "who", "what", "diff"]
    list_display_links: ClassVar = ["moment"]
    list_filter: ClassVar = ["action", "actor_kind", ObjectFilter]
    search_fields: ClassVar = ["actor", "name", "address"]
    search_help_text = "Search by person, name or address"
    list_before_template = "tenants/audit_list_head.html"
    list_filter_submit = False
    fields: ClassVar = ["exactly", "who", "what", "whose", "all_changes", "place", "hash_before", "own_hash"]
    readonly_fields: ClassVar = fields
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> "QuerySet[AuditEntry]":
        """Platform staff see all; a tenant's admins what concerns their tenant alone."""
        rows: QuerySet[AuditEntry] = super().get_queryset(request)
        tenant = current_tenant(request)
        if tenant is None:
            return rows if is_platform_staff(request) else rows.none()
        return rows.filter(tenant_id=tenant.pk)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        columns = list(self.list_display)
        return columns if current_tenant(request) else [*columns[:1], "whose", *columns[1:]]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.ADMIN)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="When", ordering="id")
    def moment(self, entry: AuditEntry) -> SafeString | str:
        return when(entry.at)

    @admin.display(description="When (UTC)")
    def exactly(self, entry: AuditEntry) -> str:
        return entry.at.strftime("%Y-%m-%d %H:%M:%S")

    @admin.display(description="Who", ordering="actor")
    def who(self, entry: AuditEntry) -> SafeString:
        kind = AuditEntry.ActorKind(entry.actor_kind).label
        said = f"{kind}, {entry.address}" if entry.address else kind
        return format_html('{}<div class="relay-muted relay-small">{}</div>', entry.actor or "–", said)

    @admin.display(description="Tenant", ordering="tenant")
    def whose(self, entry: AuditEntry) -> str:
        return entry.tenant or "Platform"

    @admin.display(description="What")
    def what(self, entry: AuditEntry) -> SafeString:
        said = '{} {} <div class="relay-small">{}</div>'
        tone = TONES.get(entry.action, ("plain", "edit"))
        return format_html(
            said, pill(*tone, entry.get_action_display().capitalize()), object_words(entry.object), entry.name
        )

    @admin.display(description="Changes")
    def diff(self, entry: AuditEntry) -> SafeString | str:
        return changes_as_lines(entry, SHOWN)

    @admin.display(description="Changes")
    def all_changes(self, entry: AuditEntry) -> SafeString | str:
        return changes_as_lines(entry, len(entry.changes))

    @admin.display(description="Place in the chain")
    def place(self, entry: AuditEntry) -> str:
        return f"{entry.number:,}" if entry.number else "–"

    @admin.display(description="Hash before")
    def hash_before(self, entry: AuditEntry) -> SafeString:
        return format_html('<code class="relay-hash">{}</code>', entry.previous or "–")

    @admin.display(description="Hash")
    def own_hash(self, entry: AuditEntry) -> SafeString:
        return format_html('<code class="relay-hash">{}</code>', entry.hash)


def changes_as_lines(entry: AuditEntry, most: int) -> SafeString | str:
    """One line a field: its name, what it was, what it became."""
    pairs = sorted((field, values) for field, values in entry.changes.items() if field != "tenant_id")
    if not pairs:
        return "–"
    lines = format_html_join(
        "",
        '<li><span class="relay-muted">{}</span> {}{}</li>',
        ((field.replace("_", " "), _was(before), _became(after)) for field, (before, after) in pairs[:most]),
    )
    more = len(pairs) - most
    rest = format_html('<li class="relay-muted">and {} more</li>', more) if more > 0 else ""
    return format_html('<ul class="relay-small relay-changes">{}{}</ul>', lines, rest)


def _was(before: Any) -> SafeString | str:
    return "" if before is None else format_html("<del>{}</del> ", value_words(before))


def _became(after: Any) -> SafeString | str:
    return "" if after is None else format_html("<ins>{}</ins>", value_words(after))
