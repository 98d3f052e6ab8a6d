"""What the policy editor shows, gathered from rows: a policy with its versions, and what changed between two texts."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.http import Http404, HttpRequest
from django.urls import reverse

from routing.core.policy import PolicyDocument, PolicyInvalid
from routing.documents import changes_in_words, read_policy
from routing.editor.diff import MAX_LINES, Row, Section, compare, sections
from routing.models import Deployment, Policy, PolicyVersion, Route
from tenants.access import Role
from tenants.models import ApiKey, Tenant
from tenants.page import current_tenant, is_platform_staff, may, with_tenant

VERSIONS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Rights:
    save: bool
    activate: bool
    override: bool  # activate what its replay calls worse
    attempt: bool  # "try it"


@dataclass(frozen=True, slots=True)
class Changes:
    left: str
    right: str
    rows: list[Row]
    words: list[str]
    cut: bool  # whether there are lines that were not compared

    @property
    def sections(self) -> list[Section]:
        return sections(self.rows)

    @property
    def summary(self) -> str:
        count = sum(row.changed for row in self.rows)
        said = f"{count:,} changed line{'' if count == 1 else 's'}" if count else "No difference"
        return f"{said} in the first {MAX_LINES:,}" if self.cut else said


def rights(request: HttpRequest, policy: Policy) -> Rights:
    """A policy of the platform is its staff's; everybody else reads it, and editors may try it."""
    own = policy.tenant_id is not None
    staff = is_platform_staff(request)
    return Rights(
        save=staff or (own and may(request, Role.EDITOR)),
        activate=staff or (own and may(request, Role.ADMIN)),
        override=staff or (own and may(request, Role.OWNER)),
        attempt=may(request, Role.EDITOR),
    )


def version_of(policy: Policy, number: str | None) -> PolicyVersion:
    """The named version or 404."""
    rows = policy.versions.filter(number=int(number)) if number and number.isdecimal() and len(number) < 10 else None
    version = rows.first() if rows is not None else None
    if version is None:
        raise Http404("No such version.")
    return version


def live_version(policy: Policy) -> PolicyVersion | None:
    return policy.versions.filter(number=policy.active_version).first() if policy.active_version else None


def shown_version(policy: Policy, request: HttpRequest) -> PolicyVersion | None:
    """The one the URL names, else the newest."""
    if "version" in request.GET:
        return version_of(policy, request.GET["version"])
    return policy.versions.order_by("-number").first()


def former_version(policy: Policy, shown: PolicyVersion | None) -> PolicyVersion | None:
    """What the shown version is compared with: the active one, or the one before if it is active itself."""
    if shown is None:
        return None
    if policy.active_version not in (None, shown.number):
        return live_version(policy)
    return policy.versions.filter(number__lt=shown.number).order_by("-number").first()


def label(policy: Policy, version: PolicyVersion | None) -> str:
    if version is None:
        return "nothing"
    return f"v{version.number} (active)" if version.number == policy.active_version else f"v{version.number}"


def changes(left: tuple[str, str], right: tuple[str, str]) -> Changes:
    """Of two (label, text); the words need both to be valid."""
    documents = document_of(left[1]), document_of(right[1])
    words = changes_in_words(documents[0], documents[1]) if documents[0] and documents[1] else []
    cut = max(len(text.splitlines()) for _, text in (left, right)) > MAX_LINES
    return Changes(left[0], right[0], compare(left[1], right[1]), words, cut)


def document_of(text: str) -> PolicyDocument | None:
    try:
        return read_policy(text)
    except PolicyInvalid:
        return None


def routes_for(tenant: Tenant | None) -> list[Route]:
    """What the tenant's clients may talk to: its own routes, and the platform's that those do not shadow."""
    chat = Deployment.Serves.CHAT
    talks = Q(steps__deployment__serves=chat) | Q(alias_of__steps__deployment__serves=chat)
    rows = (
        Route.objects.filter(Q(tenant=tenant) | Q(tenant=None), talks, enabled=True)
        .select_related("policy")
        .order_by("name")
        .distinct()
    )
    mine = {route.name for route in rows if route.tenant_id is not None}
    return [route for route in rows if route.tenant_id is not None or route.name not in mine]


def key_names(tenant: Tenant | None) -> list[str]:
    return list(ApiKey.objects.filter(tenant=tenant, revoked_at=None).values_list("name", flat=True)) if tenant else []


def address(request: HttpRequest, policy: Policy, view: str = "change", **query: Any) -> str:
    url = reverse(f"admin:routing_policy_{view}", args=[policy.pk])
    named = "&".join(f"{name}={value}" for name, value in query.items())
    return with_tenant(request, f"{url}?{named}" if named else url)


def frame(request: HttpRequest, policy: Policy) -> dict[str, Any]:
    """What all pages of the editor need."""
    routes = policy.routes.select_related("tenant").filter(
        *([] if is_platform_staff(request) else [Q(tenant=current_tenant(request)) | Q(tenant=None)])
    )
    return {
        "opts": Policy._meta,
        "original": policy,
        "policy": policy,
        "rights": rights(request, policy),
        "route_names": sorted({route.name for route in routes}),
        "urls": {name: address(request, policy, name) for name in ("change", "check", "try", "activate", "rollback")},
    }
