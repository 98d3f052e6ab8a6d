"""The pages of the policy editor. Each finds the policy among those of the current tenant, or answers 404."""

from typing import Any, TypeAlias

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse

from routing import activation, services
from routing.core.policy import PolicyInvalid
from routing.core.policy_reference import REFERENCE, STRATEGIES_IN_WORDS
from routing.documents import problems_of
from routing.editor import page
from routing.editor.attempt import Attempt, read_attempt, run
from routing.models import Policy, PolicyVersion
from tenants.page import current_tenant

Admin: TypeAlias = "ModelAdmin[Policy]"


def find(admin: Admin, request: HttpRequest, object_id: str) -> Policy:
    policy = admin.get_object(request, object_id)
    if policy is None or not admin.has_view_permission(request, policy):
        raise Http404("Nothing here has this address.")
    return policy


def edit(admin: Admin, request: HttpRequest, object_id: str) -> HttpResponse:
    policy = find(admin, request, object_id)
    if request.method == "POST":
        return _save(admin, request, policy)
    shown = page.shown_version(policy, request)
    return _render(admin, request, policy, shown, text=shown.text if shown else "")


def _save(admin: Admin, request: HttpRequest, policy: Policy) -> HttpResponse:
    if not page.rights(request, policy).save:
        raise PermissionDenied
    text, note = request.POST.get("text", "").replace("\r\n", "\n"), request.POST.get("note", "").replace("\x00", "")
    base, author = _number(request, "base"), request.user.get_username()
    shown = policy.versions.filter(number=base).first()
    try:
        version = services.save_draft(policy=policy, text=text, note=note, author=author, base=base)
    except services.Conflict as conflict:
        theirs = page.version_of(policy, str(conflict.current))
        context = {"theirs": theirs, "note": note}
        return _render(admin, request, policy, theirs, text=text, left=theirs, extra=context, status=409)
    except PolicyInvalid as error:
        messages.error(request, f"Not saved: {error}")
        return _render(admin, request, policy, shown, text=text.replace("\x00", "�"), extra={"note": note}, status=400)
    admin.log_change(request, policy, f"Saved v{version.number}.")
    return HttpResponseRedirect(page.address(request, policy, version=version.number))


def _render(
    admin: Admin,
    request: HttpRequest,
    policy: Policy,
    shown: PolicyVersion | None,
    *,
    text: str,
    left: PolicyVersion | None = None,
    extra: dict[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    """``left`` is what the text is compared with; the URL may name both sides."""
    pair = "left" in request.GET and "right" in request.GET
    left = page.version_of(policy, request.GET["left"]) if pair else left or page.former_version(policy, shown)
    right = page.version_of(policy, request.GET["right"]) if pair else None
    right_side = (page.label(policy, right), right.text) if right else (page.label(policy, shown), text)
    newest = services.newest_number(policy)
    context = {
        **admin.admin_site.each_context(request),
        **page.frame(request, policy),
        "title": f"Policy {policy.slug}",
        "shown": shown,
        "text": text,
        "problems": problems_of(text),
        "newest": newest,
        "versions": policy.versions.defer("text").order_by("-number")[: page.VERSIONS_SHOWN],
        "left": left,
        "right": right,
        "changes": page.changes((page.label(policy, left), left.text if left else ""), right_side),
        "routes": page.routes_for(current_tenant(request)),
        "keys": page.key_names(current_tenant(request)),
        "undo": _undo(request, policy),
        "reference": REFERENCE,
        "strategies": STRATEGIES_IN_WORDS,
        **(extra or {}),
    }
    return TemplateResponse(request, "routing/policy_editor.html", context, status=status)


def _undo(request: HttpRequest, policy: Policy) -> int | None:
    """The version that was active before, after a roll-back or an activation."""
    number = request.GET.get("undo", "")
    if not number.isdecimal() or len(number) > 9 or int(number) == policy.active_version:
        return None
    return int(number) if policy.versions.filter(number=int(number), activated_at__isnull=False).exists() else None


def check(admin: Admin, request: HttpRequest, object_id: str) -> HttpResponse:
    """What is wrong with a text, and what it changes; nothing is stored."""
    policy = find(admin, request, object_id)
    text = request.POST.get("text", "").replace("\r\n", "\n")
    problems = problems_of(text)
    number = request.POST.get("left", "")
    left = page.version_of(policy, number) if number else None
    compared = page.changes((page.label(policy, left), left.text if left else ""), ("your text", text))
    return JsonResponse(
        {
            "valid": not problems,
            "problems": [{"line": item.line, "path": item.path, "message": item.message} for item in problems],
            "changes": render_to_string("routing/policy_changes.html", {"changes": compared}, request),
        }
    )


def attempt(admin: Admin, request: HttpRequest, object_id: str) -> HttpResponse:
    """The plan that the text would make for a request, beside the active version's. No model is called."""
    policy = find(admin, request, object_id)
    if not page.rights(request, policy).attempt:
        raise PermissionDenied
    tenant = current_tenant(request)
    asked = read_attempt(
        request.POST, keys=page.key_names(tenant), models=[route.name for route in page.routes_for(tenant)]
    )
    draft, active = None, None
    if isinstance(asked, Attempt):
        draft = run(asked, policy=policy, tenant=tenant, text=request.POST.get("text", ""), version=0)
        live = page.live_version(policy)
        active = live and run(asked, policy=policy, tenant=tenant, text=live.text, version=live.number)
    context = {"policy": policy, "problem": asked if isinstance(asked, str) else "", "draft": draft, "active": active}
    return TemplateResponse(request, "routing/policy_try.html", context)


def activate(admin: Admin, request: HttpRequest, object_id: str) -> HttpResponse:
    return _confirm(admin, request, find(admin, request, object_id), roll_back=False)


def rollback(admin: Admin, request: HttpRequest, object_id: str) -> HttpResponse:
    return _confirm(admin, request, find(admin, request, object_id), roll_back=True)


def _confirm(admin: Admin, request: HttpRequest, policy: Policy, *, roll_back: bool) -> HttpResponse:
    """GET shows what would change for live traffic, POST does it."""
    if not page.rights(request, policy).activate:
        raise PermissionDenied
    version = page.version_of(policy, (request.POST or request.GET).get("version"))
    if request.method == "POST":
        return _go_live(admin, request, policy, version, roll_back=roll_back)
    active, problems = page.live_version(policy), problems_of(version.text)
    context = {
        **admin.admin_site.each_context(request),
        **page.frame(request, policy),
        "title": f"Policy {policy.slug}",
        "version": version,
        "replay": None if roll_back or problems else activation.replay(version),
        "active": active,
        "roll_back": roll_back,
        "next_number": services.newest_number(policy) + 1,
        "problems": problems,
        "changes": page.changes(
            (page.label(policy, active), active.text if active else ""), (f"v{version.number}", version.text)
        ),
        "back_url": page.address(request, policy, version=version.number),
    }
    return TemplateResponse(request, "routing/policy_confirm.html", context)


def _go_live(
    admin: Admin, request: HttpRequest, policy: Policy, version: PolicyVersion, *, roll_back: bool
) -> HttpResponse:
    expected = _number(request, "expected") or None
    try:
        if roll_back:
            author = request.user.get_username()
            live = services.roll_back(policy=policy, to=version.number, expected=expected, author=author)
        else:
            live, _ = activation.activate_proven(
                policy=policy,
                number=version.number,
                expected=expected,
                note=_text(request, "note"),
                by=request.user.get_username(),
                override=_text(request, "override") if page.rights(request, policy).override else "",
            )
    except activation.NotProven as error:
        messages.error(request, f"Nothing was changed: v{version.number} is worse in its replay. {error}")
        return HttpResponseRedirect(page.address(request, policy, "activate", version=version.number))
    except services.NeverActive:
        messages.error(request, f"Nothing was changed: v{version.number} was never active; activate it instead.")
        return HttpResponseRedirect(page.address(request, policy, version=version.number))
    except services.Conflict:
        messages.error(request, "Nothing was changed: meanwhile somebody else activated another version. Look again.")
        return HttpResponseRedirect(page.address(request, policy, version=version.number))
    except PolicyInvalid as error:
        messages.error(request, f"Nothing was changed: v{version.number} has problems. {error}")
        return HttpResponseRedirect(page.address(request, policy, version=version.number))
    admin.log_change(request, policy, f"Activated v{live.number}.")
    query = {"version": live.number, "undo": expected} if expected else {"version": live.number}
    return HttpResponseRedirect(page.address(request, policy, "change", **query))


def _text(request: HttpRequest, name: str) -> str:
    return request.POST.get(name, "").replace("\x00", "").strip()


def _number(request: HttpRequest, name: str) -> int:
    """A posted version number; 0 if it is missing or no number."""
    text = request.POST.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0
