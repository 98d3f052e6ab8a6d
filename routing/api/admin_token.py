"""Who may use the admin API: whoever has ADMIN_TOKEN, and staff of the platform who are signed in. A tenant's key never
opens it; without the token it is not there for anybody else."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from rest_framework.authentication import CSRFCheck

from routing.errors import INVALID, ErrorReply

NOT_THERE = ErrorReply(404, "Not found.", INVALID, "not_found")
NO_TOKEN = ErrorReply(
    401,
    "The admin API needs “Authorization: Bearer” with the server's ADMIN_TOKEN; keys of tenants are not valid here.",
    INVALID,
    "invalid_admin_token",
    headers={"WWW-Authenticate": "Bearer"},
)
NO_CSRF = ErrorReply(403, "A signed-in browser must send its CSRF token as X-CSRFToken.", INVALID, "csrf_failed")


def refusal(request: HttpRequest) -> ErrorReply | None:
    """None: come in. A token that was sent decides; the session counts only without one."""
    sent = request.headers.get("Authorization", "")
    if not sent and request.user.is_authenticated and request.user.is_staff_of_platform:
        return NO_CSRF if _forged(request) else None
    if not settings.ADMIN_TOKEN:
        return NOT_THERE
    scheme, _, token = sent.partition(" ")
    same = constant_time_compare(token.strip(), settings.ADMIN_TOKEN)
    return None if same and scheme.lower() == "bearer" else NO_TOKEN


def _forged(request: HttpRequest) -> bool:
    """REST framework's views are exempt from the middleware's own check, which is therefore made here."""
    check = CSRFCheck(lambda _: HttpResponse())
    check.process_request(request)
    return check.process_view(request, lambda *_: HttpResponse(), (), {}) is not None


def actor_of(request: HttpRequest) -> str:
    """Of a request that was let in."""
    return "admin token" if request.headers.get("Authorization") else request.user.get_username()
