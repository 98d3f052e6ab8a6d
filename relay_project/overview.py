"""The state of the whole of Relay at a moment, put together from what its processes say; for the admin API, the command
line and the alerts. A part that is not known is None.
"""

import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import django
import redis
from django.conf import settings

from routing.core.evidence import Burn
from routing.core.outcomes import SLO
from routing.core.strategies import burning
from routing.credentials import credential_for, obstacle, stored_credentials
from routing.default_policy import default_policy
from routing.models import Deployment, Provider
from routing.presence import web_processes
from tenants.usage import client
from traces.lag import Lag, lag

WORST = ("closed", "half_open", "open")
Processes = Sequence[Mapping[str, Any]]


def status(now: float | None = None) -> dict[str, Any]:
    """``status`` is ok, or degraded if Redis is away, no web process is there or a breaker is open."""
    now = time.time() if now is None else now
    processes, lag = _from_redis(now)
    deployments = deployments_now(processes or ())
    troubled = any(known["breaker"] != "closed" for known in deployments.values())
    return {
        "status": "ok" if processes and lag and not troubled else "degraded",
        "time": moment(now),
        "build": {
            "version": settings.SPECTACULAR_SETTINGS["VERSION"],
            "python": platform.python_version(),
            "django": django.get_version(),
            "environment": settings.RELAY_ENV,
        },
        "default_policy": default_policy() or None,
        "processes": None if processes is None else [_process(one, now) for one in processes],
        "providers": providers_now(deployments),
        "lanes": None if processes is None else lanes_now(processes),
        "trace_writer": lag,
    }


def _from_redis(now: float) -> tuple[Processes | None, dict[str, Any] | None]:
    try:
        with client() as redis_:
            return web_processes(redis_, now), _writer(lag(redis_, now))
    except redis.RedisError:
        return None, None


def _writer(now: Lag) -> dict[str, Any]:
    return {"waiting": now.waiting, "oldest_s": round(now.oldest_s, 1), "set_aside": now.dead}


def _process(one: Mapping[str, Any], now: float) -> dict[str, Any]:
    return {
        "process": one["process"],
        "host": one["host"],
        "pid": one["pid"],
        "started_at": moment(one["started_at"]),
        "uptime_s": round(now - one["started_at"]),
        "lane_worker_answers": one["lanes"]["worker_alive"],
    }


def deployments_now(processes: Processes) -> dict[str, dict[str, Any]]:
    """What is known of each deployment: figures of the process that spoke last, for they are shared; the worst breaker
    of all, for each process has its own, and since when the first of them is not closed."""
    found: dict[str, dict[str, Any]] = {}
    for one in sorted(processes, key=lambda one: float(one["at"])):
        for name, known in one["deployments"].items():
            before = found.get(name, {"breaker": "closed", "breaker_since": None})
            since = [at for at in (before["breaker_since"], one["breaker_since"].get(name)) if at]
            found[name] = {
                "samples": known["samples"],
                "error_rate": known["error_rate"],
                "p95_ms": known["p95_ms"],
                "burn_rates": {window: known["burn"][window] for window in ("m5", "m30", "h1", "h6")},
                "burning": burning(Burn(**known["burn"]), SLO),
                "breaker": max(before["breaker"], known["breaker"], key=WORST.index),
                "breaker_since": min(since, default=None),
                "why": known["why"],
                "quota_left": known["quota_left"],
            }
    return found


def providers_now(deployments: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All of them, with what keeps one from being used by the platform's own credential."""
    stored = stored_credentials()
    models: dict[int, list[dict[str, Any]]] = {}
    for row in Deployment.objects.order_by("slug"):
        known = deployments.get(row.slug, {"breaker": "closed", "samples": 0})
        health = {name: value for name, value in known.items() if name != "breaker_since"}
        since = known.get("breaker_since")
        about = {"deployment": row.slug, "model": row.model, "enabled": row.enabled, "capacity": row.capacity}
        models.setdefault(row.provider_id, []).append(
            {**about, **health, "breaker_since": moment(since) if since else None}
        )
    return [
        {
            "provider": row.slug,
            "kind": row.kind,
            "enabled": row.enabled,
            "problem": obstacle(row, credential_for(row, None, stored)) or None,
            "deployments": models.get(row.pk, []),
        }
        for row in Provider.objects.order_by("slug")
    ]


def lanes_now(processes: Processes) -> list[dict[str, Any]]:
    """Of each deployment that was asked: slots, and by lane how many run and wait, in all processes together."""
    pools: dict[str, dict[str, Any]] = {}
    for one in processes:
        for name, pool in one["lanes"]["pools"].items():
            summed = pools.setdefault(name, {"deployment": name, "capacity": 0, "lanes": {}})
            summed["capacity"] = max(summed["capacity"], pool["capacity"])
            for lane, held in pool["lanes"].items():
                counts = summed["lanes"].setdefault(lane, {"in_flight": 0, "waiting": 0})
                counts["in_flight"] += held["in_flight"]
                counts["waiting"] += held["waiting"]
    return [pools[name] for name in sorted(pools)]


def moment(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
