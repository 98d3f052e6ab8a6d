"""What all views of the admin API share: the token, the audit log's actor, errors in OpenAI's shape, pages of lists."""

from contextlib import nullcontext
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer
from rest_framework.views import APIView

from relay_project.admin_api.access import actor_of, refusal
from routing.core.request import InvalidRequest
from routing.errors import INVALID, BodyTooLarge, ErrorReply, describe, method_not_allowed
from tenants.acting import Actor, acting
from tenants.audit import SAFE
from tenants.models import Tenant

LIMIT, MOST = 20, 100


class AdminView(APIView):
    """Sync, so that the actor, the statements and the transaction of a request share one connection.

    ``staff``: whether a session of the platform's staff opens it, too.
    """

    staff = False
    actor: Actor

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if refused := refusal(request, staff=self.staff):
            return JsonResponse(refused.body, status=refused.status, headers=dict(refused.headers))
        self.actor = actor_of(request)  # REST framework puts its own user in the place of the session's
        with nullcontext() if request.method in SAFE else acting(self.actor):
            return super().dispatch(request, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Response:
        reply = reply_to(exc, self.allowed_methods)
        return Response(reply.body, status=reply.status, headers=dict(reply.headers))


def reply_to(error: Exception, allowed: list[str]) -> ErrorReply:
    if isinstance(error, exceptions.ValidationError):
        return _wrong(*_first(error.detail))
    if isinstance(error, ValidationError):
        return _wrong(*_first(error.message_dict if hasattr(error, "error_dict") else error.messages))
    if isinstance(error, exceptions.MethodNotAllowed):
        return method_not_allowed(allowed)
    if isinstance(error, exceptions.ParseError):
        return ErrorReply(400, "The body is not valid JSON.", INVALID, "invalid_json")
    if isinstance(error, RequestDataTooBig):
        return describe(BodyTooLarge(settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
    if isinstance(error, exceptions.APIException):
        return ErrorReply(error.status_code, str(error.detail), INVALID, str(error.get_codes()))
    return describe(error)


def not_found(what: str, name: str) -> exceptions.NotFound:
    return exceptions.NotFound(f"There is no {what} “{name[:80]}”.", "not_found")


def _wrong(param: str | None, said: str) -> ErrorReply:
    return ErrorReply(400, said, INVALID, "invalid_value", param)


def _first(detail: Any) -> tuple[str | None, str]:
    """The first problem with the name of its field."""
    if isinstance(detail, dict):
        name, problems = next(iter(detail.items()))
        field = None if name in ("__all__", "non_field_errors") else str(name)
        return field, _first(problems)[1]
    if isinstance(detail, list):
        return _first(detail[0])
    return None, str(detail)


def read(serializer: type["Serializer[Any]"], request: Request, *, partial: bool = False) -> dict[str, Any]:
    """The checked fields of the body; a field that is not known is an error and not forgotten."""
    try:
        body = request.data
    except RecursionError:  # of the JSON reader: brackets a thousand deep
        raise exceptions.ParseError from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    reader = serializer(data=body, partial=partial)
    if unknown := sorted(set(body) - set(reader.fields)):
        raise InvalidRequest(
            f"“{unknown[0][:80]}” is not known here; there are {', '.join(reader.fields)}.", unknown[0]
        )
    reader.is_valid(raise_exception=True)
    return dict(reader.validated_data)


def tenant_of(slug: str) -> Tenant:
    """Raises InvalidRequest that names “tenant”."""
    rows = Tenant.objects.exclude(schema_name="public")
    tenant: Tenant | None = None if "\x00" in slug else rows.filter(slug=slug).first()
    if tenant is None:
        raise InvalidRequest(f"There is no tenant “{slug[:80]}”.", "tenant")
    return tenant


def limit_of(request: Request) -> int:
    """``limit``, 1 to 100."""
    given = request.query_params.get("limit", str(LIMIT))
    if not (given.isascii() and given.isdecimal() and len(given) < 4 and 1 <= int(given) <= MOST):
        raise InvalidRequest(f"“limit” must be a whole number from 1 to {MOST}.", "limit")
    return int(given)


def page(
    request: Request, rows: "QuerySet[Any]", serializer: type["BaseSerializer[Any]"], *, by: str, newest: bool = False
) -> Response:
    """A page of a list in the order of ``by``, a unique field, which is also what ``after`` names."""
    limit, after = limit_of(request), request.query_params.get("after", "")
    if "\x00" in after:
        raise InvalidRequest("“after” must be the “last_id” of the page before.", "after")
    if after:
        try:
            rows = rows.filter(**{f"{by}__{'lt' if newest else 'gt'}": after})
        except (ValueError, ValidationError):
            raise InvalidRequest("“after” must be the “last_id” of the page before.", "after") from None
    found = list(rows.order_by(f"-{by}" if newest else by)[: limit + 1])
    shown = found[:limit]
    last = str(getattr(shown[-1], by)) if shown else None
    return as_list(serializer(shown, many=True).data, last, more=len(found) > limit)


def as_list(data: Any, last: str | None, *, more: bool) -> Response:
    return Response({"object": "list", "data": data, "last_id": last, "has_more": more})
