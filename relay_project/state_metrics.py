"""Gauges that are read when Prometheus asks: what lies in Redis, PostgreSQL and on the disk, for all processes alike.

One more is one more function in SOURCES. One whose server is away is left out, and ``relay_state_known`` says so.
"""

import logging
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from django.conf import settings
from django.db import Error
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from relay_project.canary_metrics import canaries
from routing.candidates import limits_of_all
from tenants.core.limits import Limit
from tenants.usage import Use, client, uses
from traces.lag import lag
from traces.spool import bytes_in

MOST_LIMITS = 2_000
log = logging.getLogger("relay.metrics")
Source = Callable[[], Iterable[Metric]]


class Unknown(Exception):
    """It cannot be said now."""


def build() -> Iterator[Metric]:
    version = str(settings.SPECTACULAR_SETTINGS["VERSION"])
    info = GaugeMetricFamily("relay_build_info", "The running version.", labels=["version", "python"])
    info.add_metric([version, platform.python_version()], 1)
    yield info


def trace_writer() -> Iterator[Metric]:
    with client() as redis:
        now = lag(redis, time.time())
    yield GaugeMetricFamily("relay_traces_waiting", "Traces in the stream, not yet stored.", now.waiting)
    yield GaugeMetricFamily("relay_traces_oldest_seconds", "For how long the first of them waits.", now.oldest_s)
    yield GaugeMetricFamily("relay_traces_dead", "Traces set aside, as they could not be stored.", now.dead)


def spool() -> Iterator[Metric]:
    waiting = bytes_in(Path(settings.RELAY_SPOOL_DIR))
    yield GaugeMetricFamily("relay_spool_bytes", "Traces on this machine's disk, until Redis is back.", waiting)
    yield GaugeMetricFamily("relay_spool_limit_bytes", "What may lie there.", settings.RELAY_SPOOL_MAX_MB * 1024 * 1024)


def limits() -> Iterator[Metric]:
    """What is left, 0 to 1. With very many limits those that are nearest to their end are shown."""
    found = uses(list(limits_of_all()))
    if found is None:
        raise Unknown("the counters are being rebuilt, or Redis is away")
    shown = sorted(found, key=lambda use: use.left.share)[:MOST_LIMITS]
    quotas = GaugeMetricFamily(
        "relay_quota_left_ratio",
        "Of a tenant's or a key's quota.",
        labels=["tenant", "api_key", "metric", "window", "hard"],
    )
    deployments = GaugeMetricFamily(
        "relay_deployment_quota_left_ratio", "Of a deployment's limit.", labels=["deployment", "metric", "window"]
    )
    for use in shown:
        _add(use, use.left.limit, quotas, deployments)
    yield quotas
    yield deployments
    yield GaugeMetricFamily("relay_quotas_hidden", "Limits that are not shown here.", len(found) - len(shown))


def _add(use: Use, limit: Limit, quotas: GaugeMetricFamily, deployments: GaugeMetricFamily) -> None:
    if limit.deployment:
        deployments.add_metric([limit.deployment, limit.metric, limit.window], use.left.share)
    else:
        labels = [limit.tenant, limit.api_key, limit.metric, limit.window, str(int(limit.hard))]
        quotas.add_metric(labels, use.left.share)


SOURCES: tuple[Source, ...] = (build, trace_writer, spool, limits, canaries)


class State(Collector):
    def __init__(self, sources: Iterable[Source] = SOURCES) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        known = GaugeMetricFamily("relay_state_known", "0: it could not be read just now.", labels=["source"])
        for source in self._sources:
            name = source.__name__
            try:
                yield from list(source())
                known.add_metric([name], 1)
            except (Error, RedisError, OSError, Unknown) as error:
                log.warning("metrics: %s is not known", name, extra={"error": str(error).strip()[:300]})
                known.add_metric([name], 0)
        yield known


def state() -> bytes:
    registry = CollectorRegistry()
    registry.register(State())
    return generate_latest(registry)
