"""`/v1/admin/canary/*`: what runs, on to the next stage, back."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from routing.api.admin_token import actor_of, refusal
from routing.canaries import NoLiveCanary, NotAdvanced, advance, roll_back
from routing.canary_models import Canary
from routing.canary_report import report_of
from routing.core.canary import LIVE
from routing.core.request import InvalidRequest
from routing.errors import INVALID, ErrorReply

MOST = 50  # in one answer; the newest
TOKEN = OpenApiParameter("Authorization", str, OpenApiParameter.HEADER, description="Bearer ADMIN_TOKEN")
WHICH = {"canary": serializers.IntegerField(required=False, help_text="Its id; needed if more than one is live.")}


class CanaryView(APIView):
    """Sync: the statements of a request share one connection and its transaction."""

    actor = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if refused := refusal(request):
            return JsonResponse(refused.body, status=refused.status, headers=dict(refused.headers))
        self.actor = actor_of(request)  # REST framework puts its own user in the place of the session's
        return super().dispatch(request, *args, **kwargs)


class CanaryStatus(CanaryView):
    @extend_schema(tags=["Admin"], parameters=[TOKEN], responses={200: dict})
    def get(self, request: Request) -> Response:
        """Every live canary and the newest that ended, with their evidence and transitions."""
        rows = Canary.objects.select_related("route__tenant", "evidence").prefetch_related("transitions")
        live = list(rows.filter(state__in=LIVE))
        ended = list(rows.exclude(state__in=LIVE)[: max(0, MOST - len(live))])
        return Response({"object": "list", "data": [report_of(row) for row in (*live, *ended)]})


class CanaryAdvance(CanaryView):
    @extend_schema(
        tags=["Admin"],
        parameters=[TOKEN],
        request=inline_serializer("CanaryAdvance", {**WHICH, "force": serializers.BooleanField(default=False)}),
        responses={200: dict},
    )
    def post(self, request: Request) -> Response:
        """To its next stage, if the guardrails allow it; with `force` in any case. 409 says why not."""
        body = _body(request, "canary", "force")
        force = body.get("force", False)
        if not isinstance(force, bool):
            raise InvalidRequest("“force” must be true or false.", "force")
        try:
            return _moved(advance(canary=_which(body), force=force, by=self.actor))
        except (NotAdvanced, NoLiveCanary) as error:
            return _conflict(error)


class CanaryRollback(CanaryView):
    @extend_schema(
        tags=["Admin"],
        parameters=[TOKEN],
        request=inline_serializer("CanaryRollback", {**WHICH, "note": serializers.CharField(required=False)}),
        responses={200: dict},
    )
    def post(self, request: Request) -> Response:
        """The base answers everybody within a second."""
        body = _body(request, "canary", "note")
        note = body.get("note", "")
        if not isinstance(note, str):
            raise InvalidRequest("“note” must be text.", "note")
        try:
            return _moved(roll_back(canary=_which(body), by=self.actor, note=note[:300]))
        except NoLiveCanary as error:
            return _conflict(error)


def _body(request: Request, *known: str) -> dict[str, Any]:
    """Nothing sent is an empty object."""
    body = request.data or {}
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.", "")
    if unknown := sorted(set(body) - set(known)):
        raise InvalidRequest(f"“{unknown[0][:80]}” is not known here; there are {', '.join(known)}.", unknown[0][:80])
    return body


def _which(body: dict[str, Any]) -> Canary:
    """The one that is named, else the only one that is live."""
    wanted = body.get("canary")
    if wanted is None:
        live = list(Canary.objects.filter(state__in=LIVE)[:2])
        if len(live) == 2:
            raise InvalidRequest("More than one canary is live: name one by its “canary” id.", "canary")
        found = live[0] if live else None
    else:
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not 0 < wanted < 2**63:
            raise InvalidRequest("“canary” must be an id of GET /v1/admin/canary/status.", "canary")
        found = Canary.objects.filter(pk=wanted).first()
    if found is None:
        raise NotFound("There is no such canary." if wanted else "No canary is live.", "not_found")
    return found


def _moved(canary: Canary) -> Response:
    return Response(report_of(Canary.objects.select_related("route__tenant", "evidence").get(pk=canary.pk)))


def _conflict(error: Exception) -> Response:
    reply = ErrorReply(409, str(error), INVALID, "canary_not_advanced")
    return Response(reply.body, status=reply.status)
