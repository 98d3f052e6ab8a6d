"""The frame of the console: which tenant the page is about, where one may go from here, and its stylesheets."""

import re
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

from tenants.access import Role, tenants_of
from tenants.page import current_tenant, is_platform_staff, may, with_tenant

SECTION = re.compile(r"/admin/(?:traces/|data/|(?:routing|tenants|scheduling|alerts|load|evals)/[a-z]+/)?")

OBSERVE = [("load.LoadRun", "Load runs", "show_chart")]
CONTROL = [
    ("routing.Policy", "Policies", "rule_settings"),
    ("routing.Route", "Routes", "alt_route"),
    ("routing.Provider", "Providers", "dns"),
    ("routing.Deployment", "Deployments", "deployed_code"),
    ("scheduling.Lane", "Lanes", "view_column"),
]
PROVE = [
    ("evals.Comparison", "Comparisons", "compare_arrows"),
    ("evals.Gate", "Gates", "verified"),
    ("routing.Canary", "Canaries", "science"),
    ("routing.Shadow", "Shadows", "content_copy"),
]
ACCESS = [
    ("tenants.ApiKey", "API keys", "key"),
    ("tenants.Quota", "Quotas", "speed"),
    ("tenants.Membership", "Members", "group"),
    ("tenants.Tenant", "Tenants", "domain"),
    ("tenants.User", "Users", "manage_accounts"),
    ("tenants.AuditEntry", "Audit log", "history"),
    ("alerts.AlertChannel", "Alerts", "notifications"),
]


def current_tenant_name(request: HttpRequest) -> str:
    if not request.user.is_authenticated:
        return ""
    tenant = current_tenant(request)
    if tenant is not None:
        return tenant.name
    return "All tenants" if is_platform_staff(request) else "No tenant"


def tenant_switcher(request: HttpRequest) -> list[dict[str, Any]]:
    """The same section for another tenant; nothing to choose from = no menu."""
    if not request.user.is_authenticated:
        return []
    match = SECTION.match(request.path)
    section, chosen = match[0] if match else reverse("admin:index"), current_tenant(request)
    choices = [(tenant.name, tenant.slug) for tenant in tenants_of(request.user)]
    if is_platform_staff(request):
        choices.insert(0, ("All tenants", "all"))
    if len(choices) < 2:
        return []
    current = chosen.slug if chosen else "all"
    return [
        {
            "title": name,
            "link": f"{section}?tenant={slug}",
            "icon": "check" if slug == current else "domain",
            "attrs": {"aria-current": "true"} if slug == current else {},
        }
        for name, slug in choices
    ]


def environment_label(request: HttpRequest) -> list[str] | None:
    return ["Development", "info"] if settings.DEBUG else None


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Only what the person may see: each entry asks the page it leads to."""
    home = {"title": "Home", "icon": "home", "link": with_tenant(request, reverse("admin:index"))}
    observe = []
    if current_tenant(request) or is_platform_staff(request):
        observe = [{"title": "Traces", "icon": "receipt_long", "link": with_tenant(request, "/admin/traces/")}]
    observe += _items(request, OBSERVE)
    groups = [
        ("", [home]),
        ("Observe", observe),
        ("Control", _items(request, CONTROL)),
        ("Prove", _evals(request) + _items(request, PROVE)),
        ("Access", _items(request, ACCESS) + _data(request)),
    ]
    return [
        {"title": title, "separator": bool(title), "collapsible": False, "items": items}
        for title, items in groups
        if items
    ]


def _evals(request: HttpRequest) -> list[dict[str, Any]]:
    """Rows of a tenant's schema have no page of the admin's own."""
    if not current_tenant(request) and not is_platform_staff(request):
        return []
    pages = [("Eval runs", "fact_check", "evals-console:runs"), ("Data sets", "dataset", "evals-console:datasets")]
    return [{"title": title, "icon": icon, "link": with_tenant(request, reverse(to))} for title, icon, to in pages]


def _data(request: HttpRequest) -> list[dict[str, Any]]:
    if current_tenant(request) is None or not may(request, Role.OWNER):
        return []
    return [{"title": "Data", "icon": "database", "link": with_tenant(request, reverse("tenant-data"))}]


def _items(request: HttpRequest, entries: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    items = []
    for label, title, icon in entries:
        app, name = label.split(".")
        model = apps.all_models[app].get(name.lower())
        page = admin.site._registry.get(model) if model else None
        if page is not None and page.has_view_permission(request):
            link = reverse(f"admin:{app}_{name.lower()}_changelist")
            items.append({"title": title, "icon": icon, "link": with_tenant(request, link)})
    return items


def stylesheet(request: HttpRequest) -> str:
    return static("relay/relay.css")


def frame_stylesheet(request: HttpRequest) -> str:
    return static("relay/console.css")
