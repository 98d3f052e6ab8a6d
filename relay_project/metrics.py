"""``/metrics`` for Prometheus. It names routes and deployments of every tenant, so it is not for clients."""

import logging
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST

from relay_project.exposition import counted
from relay_project.state_metrics import state

log = logging.getLogger("relay.metrics")


def warn_if_partial(environ: Mapping[str, str], directory: Path | None) -> None:
    """Each of several processes would show its own figures alone, and Prometheus ask one by chance."""
    processes = environ.get("WEB_CONCURRENCY", "")
    if processes.isdecimal() and int(processes) > 1 and directory is None:
        log.warning(
            "WEB_CONCURRENCY is %s, but PROMETHEUS_MULTIPROC_DIR is not set: /metrics shows one process of them",
            processes,
        )


def metrics(request: HttpRequest) -> HttpResponse:
    """With RELAY_METRICS_TOKEN for who sends it as a bearer token; without one in development only."""
    token, sent = settings.RELAY_METRICS_TOKEN, request.headers.get("Authorization", "")
    if not (constant_time_compare(sent, f"Bearer {token}") if token else settings.DEBUG):
        raise Http404
    return HttpResponse(counted(settings.PROMETHEUS_MULTIPROC_DIR) + state(), content_type=CONTENT_TYPE_LATEST)
