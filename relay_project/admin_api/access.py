"""Who may use the admin API: who has ADMIN_TOKEN. A tenant's key never opens it; without a token it is not there."""

from django.conf import settings
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from routing.errors import INVALID, ErrorReply

NOT_THERE = ErrorReply(404, "Not found.", INVALID, "not_found")
REFUSED = ErrorReply(
    401,
    "The admin API needs “Authorization: Bearer” and the server's ADMIN_TOKEN; tenants' keys are not valid here.",
    INVALID,
    "invalid_admin_token",
    headers={"WWW-Authenticate": "Bearer"},
)


def refusal(request: HttpRequest) -> ErrorReply | None:
    """None: come in."""
    if not settings.ADMIN_TOKEN:
        return NOT_THERE
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    same = constant_time_compare(token.strip(), settings.ADMIN_TOKEN)
    return None if same and scheme.lower() == "bearer" else REFUSED
