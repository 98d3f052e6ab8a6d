"""What a console page asks of its request: the current tenant, the person's role in it, links that keep the tenant.

The current tenant is ``request.tenant`` (see ``tenants.middleware``); None means all tenants, for platform staff only.
"""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from tenants.access import RANK, Role, role_in
from tenants.models import Tenant

ROLE_CACHE = "_relay_role"


def current_tenant(request: HttpRequest) -> Tenant | None:
    return getattr(request, "tenant", None)


def is_platform_staff(request: HttpRequest) -> bool:
    return bool(request.user.is_authenticated and request.user.is_staff_of_platform)


def may(request: HttpRequest, role: str) -> bool:
    """Whether the person's role in the current tenant is at least ``role``; asked of the database once a request."""
    if not request.user.is_authenticated:
        return False
    if not hasattr(request, ROLE_CACHE):
        setattr(request, ROLE_CACHE, role_in(request.user, current_tenant(request)))
    have = getattr(request, ROLE_CACHE)
    return have is not None and RANK[Role(have)] >= RANK[Role(role)]


def with_tenant(request: HttpRequest, url: str) -> str:
    """The URL with ``?tenant=``, so that a link means the same in every tab."""
    tenant = current_tenant(request)
    if tenant is None and not is_platform_staff(request):
        return url
    query = urlencode({"tenant": tenant.slug if tenant else "all"})
    return f"{url}{'&' if '?' in url else '?'}{query}"


def pill(kind: str, icon: str, text: str) -> SafeString:
    return format_html(
        '<span class="relay-pill relay-pill--{}">'
        '<span class="material-symbols-outlined" aria-hidden="true">{}</span>{}</span>',
        kind,
        icon,
        text,
    )


def when(moment: Any, never: str = "–") -> SafeString | str:
    """Relative, with the exact time on hover."""
    if moment is None:
        return never
    now = timezone.now()
    apart = (timesince(moment, now) if moment <= now else timesince(now, moment)).split(",")[0]
    words = "just now" if apart.startswith("0") else f"{apart} ago" if moment <= now else f"in {apart}"
    return format_html('<time datetime="{0}" title="{0}">{1}</time>', moment.strftime("%Y-%m-%dT%H:%M:%SZ"), words)
