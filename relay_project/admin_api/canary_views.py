"""`/v1/admin/canary/*`: what runs, on to the next stage, held by hand, back. Staff who are signed in may, too."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from relay_project.admin_api.base import AdminView, read
from relay_project.admin_api.docs import OBJECT, said
from relay_project.admin_api.serializers import CanaryForward, CanaryNoted
from routing.canaries import NoLiveCanary, NotAdvanced, advance, pause, resume, roll_back
from routing.canary_report import report_of
from routing.core.canary import LIVE
from routing.core.request import InvalidRequest
from routing.errors import INVALID, ErrorReply
from routing.models import Canary

MOST = 50  # in one answer; the newest


class CanaryView(AdminView):
    staff = True

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, NotAdvanced | NoLiveCanary):
            reply = ErrorReply(409, str(exc), INVALID, "canary_not_advanced")
            return Response(reply.body, status=reply.status)
        return super().handle_exception(exc)


class CanaryStatus(CanaryView):
    @extend_schema(**said("Live canaries and the newest that ended, with evidence and transitions", OBJECT))
    def get(self, request: Request) -> Response:
        rows = Canary.objects.select_related("route__tenant", "evidence", "scoring").prefetch_related("transitions")
        live = list(rows.filter(state__in=LIVE))
        ended = list(rows.exclude(state__in=LIVE)[: max(0, MOST - len(live))])
        return Response({"object": "list", "data": [report_of(row) for row in (*live, *ended)]})


class CanaryAdvance(CanaryView):
    @extend_schema(**said("To its next stage, or 409 with the guardrail that says no", OBJECT, request=CanaryForward))
    def post(self, request: Request) -> Response:
        asked = read(CanaryForward, request)
        return _moved(advance(canary=_which(asked), force=asked["force"], by=self.actor.name))


class CanaryPause(CanaryView):
    @extend_schema(**said("It keeps its share until it is resumed", OBJECT, request=CanaryNoted))
    def post(self, request: Request) -> Response:
        asked = read(CanaryNoted, request)
        return _moved(pause(canary=_which(asked), by=self.actor.name, note=asked.get("note", "")))


class CanaryResume(CanaryView):
    @extend_schema(**said("It goes on by itself", OBJECT, request=CanaryNoted))
    def post(self, request: Request) -> Response:
        asked = read(CanaryNoted, request)
        return _moved(resume(canary=_which(asked), by=self.actor.name, note=asked.get("note", "")))


class CanaryRollback(CanaryView):
    @extend_schema(**said("The base answers everybody within a second", OBJECT, request=CanaryNoted))
    def post(self, request: Request) -> Response:
        asked = read(CanaryNoted, request)
        return _moved(roll_back(canary=_which(asked), by=self.actor.name, note=asked.get("note", "")))


def _which(asked: dict[str, Any]) -> Canary:
    """The one that is named, else the only one that is live."""
    if "canary" in asked:
        found = Canary.objects.filter(pk=asked["canary"]).first()
    else:
        live = list(Canary.objects.filter(state__in=LIVE)[:2])
        if len(live) == 2:
            raise InvalidRequest("More than one canary is live: name one by its “canary” id.", "canary")
        found = live[0] if live else None
    if found is None:
        raise NotFound("There is no such canary." if "canary" in asked else "No canary is live.", "not_found")
    return found


def _moved(canary: Canary) -> Response:
    return Response(report_of(Canary.objects.select_related("route__tenant", "evidence", "scoring").get(pk=canary.pk)))
