"""Who may use the admin API: who has ADMIN_TOKEN, and for some of it signed-in staff of the platform. A tenant's
key never opens it; without the token it is not there for anybody else."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from rest_framework.authentication import CSRFCheck

from routing.errors import INVALID, ErrorReply
from tenants.acting import Actor
from tenants.audit import address_of
from tenants.models import AuditEntry

NOT_THERE = ErrorReply(404, "Not found.", INVALID, "not_found")
REFUSED = ErrorReply(
    401,
    "The admin API needs “Authorization: Bearer” and the server's ADMIN_TOKEN; tenants' keys are not valid here.",
    INVALID,
    "invalid_admin_token",
    headers={"WWW-Authenticate": "Bearer"},
)
NO_CSRF = ErrorReply(403, "A signed-in browser must send its CSRF token as X-CSRFToken.", INVALID, "csrf_failed")


def refusal(request: HttpRequest, *, staff: bool = False) -> ErrorReply | None:
    """None: come in. With ``staff`` a session of the platform's staff will do; one that sends a token is held to it."""
    sent = request.headers.get("Authorization", "")
    if staff and not sent and request.user.is_authenticated and request.user.is_staff_of_platform:
        return NO_CSRF if _forged(request) else None
    if not settings.ADMIN_TOKEN:
        return NOT_THERE
    scheme, _, token = sent.partition(" ")
    same = constant_time_compare(token.strip(), settings.ADMIN_TOKEN)
    return None if same and scheme.lower() == "bearer" else REFUSED


def actor_of(request: HttpRequest) -> Actor:
    """Of a request that was let in."""
    if request.headers.get("Authorization"):
        return Actor(AuditEntry.ActorKind.ADMIN_TOKEN, "admin token", address_of(request))
    return Actor(AuditEntry.ActorKind.USER, request.user.get_username(), address_of(request))


def _forged(request: HttpRequest) -> bool:
    """REST framework's views are exempt from the middleware's own check, which is therefore made here."""
    check = CSRFCheck(lambda _: HttpResponse())
    check.process_request(request)
    return check.process_view(request, lambda *_: HttpResponse(), (), {}) is not None
