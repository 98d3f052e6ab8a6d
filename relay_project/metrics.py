"""``/metrics`` for Prometheus. It names routes and deployments of every tenant, so it is not for clients."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST

from relay_project.exposition import counted
from relay_project.state_metrics import state


def metrics(request: HttpRequest) -> HttpResponse:
    """With RELAY_METRICS_TOKEN for who sends it as a bearer token; without one in development only."""
    token, sent = settings.RELAY_METRICS_TOKEN, request.headers.get("Authorization", "")
    if not (constant_time_compare(sent, f"Bearer {token}") if token else settings.DEBUG):
        raise Http404
    return HttpResponse(counted(settings.PROMETHEUS_MULTIPROC_DIR) + state(), content_type=CONTENT_TYPE_LATEST)
