"""What /api/docs says of the admin API."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers
from rest_framework.serializers import BaseSerializer

from routing.api.schema import ERROR

TOKEN = OpenApiParameter("Authorization", str, OpenApiParameter.HEADER, description="Bearer ADMIN_TOKEN", required=True)
TENANT = OpenApiParameter("tenant", str, description="Only this tenant's, by its slug.")
PAGE = [
    OpenApiParameter("limit", int, description="Rows of a page: 1 to 100, 20 if left out."),
    OpenApiParameter("after", str, description="The “last_id” of the page before."),
]
DAYS = [
    OpenApiParameter("from", str, description="First day, UTC, like 2026-11-01; six days before “to” if left out."),
    OpenApiParameter("to", str, description="Last day, included; today if left out."),
]
OBJECT = {"type": "object", "additionalProperties": True}
Shape = BaseSerializer[Any] | type[BaseSerializer[Any]] | dict[str, Any]


def said(summary: str, answer: Shape | None, *more: OpenApiParameter, status: int = 200, **schema: Any) -> Any:
    """The documentation of one method. ``answer`` None: no body."""
    good = OpenApiResponse(answer, description="Done." if answer is None else summary)
    bad = {400: "The request is wrong; “param” names the field.", 401: "No valid ADMIN_TOKEN.", 404: "Not there."}
    return {
        "tags": ["admin"],
        "summary": summary,
        "parameters": [TOKEN, *more],
        "responses": {status: good, **{code: OpenApiResponse(ERROR, description=why) for code, why in bad.items()}},
        **schema,
    }


def listed(row: type[BaseSerializer[Any]]) -> Any:
    """A page of such rows, as OpenAI's lists are."""
    fields = {
        "object": serializers.CharField(default="list"),
        "data": row(many=True),
        "last_id": serializers.CharField(allow_null=True),
        "has_more": serializers.BooleanField(),
    }
    return inline_serializer(f"{row.__name__.removesuffix('Out')}List", fields)
