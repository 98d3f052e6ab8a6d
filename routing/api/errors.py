"""Errors of the DRF endpoints, by the same table as the express shell."""

from typing import Any

from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from routing.errors import INVALID, ErrorReply, describe, method_not_allowed


def drf_exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    reply = _reply(error, context["view"].allowed_methods)
    return Response(reply.body, status=reply.status, headers=dict(reply.headers))


def _reply(error: Exception, allowed: list[str]) -> ErrorReply:
    if isinstance(error, exceptions.MethodNotAllowed):
        return method_not_allowed(allowed)
    if isinstance(error, Http404):
        return ErrorReply(404, "Not found.", INVALID, "not_found")
    if isinstance(error, exceptions.APIException):
        return ErrorReply(error.status_code, str(error.detail), INVALID, str(error.get_codes()))
    return describe(error)
