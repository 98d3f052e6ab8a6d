"""What each process knows by itself, said once a second: its lanes, and what it makes of its deployments.

Prometheus asks one process of several, so the others' word must lie in the shared files (``PROMETHEUS_MULTIPROC_DIR``):
slots and queues are summed over the living processes; of the rest the worst counts.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import Gauge

from routing.core.evidence import Evidence
from routing.series import Series

EVERY_S = 1.0
STATES = {"closed": 0, "half_open": 1, "open": 2}
log = logging.getLogger("relay.gauges")

IN_FLIGHT = Series(
    Gauge("relay_lane_in_flight", "Slots in use.", ["deployment", "lane"], multiprocess_mode="livesum"), 1_000
)
WAITING = Series(
    Gauge("relay_lane_waiting", "Requests that wait.", ["deployment", "lane"], multiprocess_mode="livesum"), 1_000
)
CAPACITY = Series(
    Gauge(
        "relay_lane_capacity", "Slots of a deployment, of all processes.", ["deployment"], multiprocess_mode="livemax"
    ),
    500,
)
WORKER = Gauge("relay_lane_worker_up", "Whether the lane worker answers every process.", multiprocess_mode="livemin")
PROCESSES = Gauge("relay_web_processes", "Web processes that live.", multiprocess_mode="livesum")
BREAKER = Series(
    Gauge(
        "relay_breaker_state",
        "0 closed, 1 half-open, 2 open; of several processes the worst.",
        ["deployment"],
        multiprocess_mode="livemax",
    ),
    500,
)
BURN = Series(
    Gauge(
        "relay_burn_rate",
        "Share of failed calls / 0.01 in the last 5m, 30m, 1h or 6h; 0 with fewer than ten.",
        ["deployment", "window"],
        multiprocess_mode="livemax",
    ),
    1_000,
)


async def publish_forever(
    evidence: Callable[[], Mapping[str, Evidence]], lanes: Callable[[], Mapping[str, Any]]
) -> None:
    """Run beside the web server, once a process."""
    while True:
        try:
            publish(evidence(), lanes())
        except Exception:  # a disk that is full must not end the figures for good
            log.exception("gauges: not published")
        await asyncio.sleep(EVERY_S)


def publish(evidence: Mapping[str, Evidence], lanes: Mapping[str, Any]) -> None:
    """``lanes`` as LaneClient.snapshot gives them."""
    PROCESSES.set(1)
    WORKER.set(lanes["worker_alive"])
    for name, pool in lanes["pools"].items():
        CAPACITY.of(name).set(pool["capacity"])
        for lane, now in pool["lanes"].items():
            IN_FLIGHT.of(name, lane).set(now["in_flight"])
            WAITING.of(name, lane).set(now["waiting"])
    for name, known in evidence.items():
        BREAKER.of(name).set(STATES[known.breaker])
        for window, rate in zip(("5m", "30m", "1h", "6h"), _windows(known), strict=True):
            BURN.of(name, window).set(rate)


def _windows(known: Evidence) -> tuple[float, float, float, float]:
    return known.burn.m5, known.burn.m30, known.burn.h1, known.burn.h6
