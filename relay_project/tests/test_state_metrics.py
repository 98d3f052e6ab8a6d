"""What is read when Prometheus asks: limits, the trace writer's lag, the spool."""

from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured
from prometheus_client.parser import text_string_to_metric_families

from conftest import unique
from relay_project.embedded.ports import free_port
from relay_project.env import writable_directory
from relay_project.state_metrics import state
from relay_project.tests.deployment import refused
from relay_project.tests.monitoring import open_counters
from routing.canaries import look_at_all, roll_back, start_canary
from routing.models import CanaryCall, Deployment, DeploymentLimit, Provider, Route
from routing.services import import_policy, save_route
from routing.tests.stage import NO_CACHE
from tenants.models import Quota
from traces.recorder import DEAD, STREAM
from traces.tests.redis_db import redis_url

pytestmark = pytest.mark.django_db


def test_what_is_left_of_limits(tenant_a: Any) -> None:
    Quota.objects.create(tenant=tenant_a, metric="requests", window="month", limit=1_000)
    provider = Provider.objects.create(slug=unique("fake"), name="Fake", base_url="http://127.0.0.1:1/v1")
    deployment = Deployment.objects.create(slug=unique("limited"), provider=provider, model="m")
    DeploymentLimit.objects.create(deployment=deployment, metric="tokens", window="day", limit=500)
    open_counters()
    found = samples()
    whose = {"tenant": tenant_a.slug, "api_key": "", "metric": "requests", "window": "month", "hard": "1"}
    assert found["relay_quota_left_ratio", frozenset(whose.items())] == 1
    of = {"deployment": deployment.slug, "metric": "tokens", "window": "day"}
    assert found["relay_deployment_quota_left_ratio", frozenset(of.items())] == 1
    assert found["relay_quotas_hidden", frozenset()] == 0


def test_traces_that_wait_are_counted_with_their_age(settings: Any, tmp_path: Path) -> None:
    settings.RELAY_SPOOL_DIR = str(tmp_path)
    (tmp_path / "1-1.spool").write_bytes(b"x" * 40)
    settings.REDIS_URL = redis_url(11)
    with redis.Redis.from_url(redis_url(11)) as client:
        client.flushdb()
        client.xadd(STREAM, {"none": "of the writer's"}, id="1-*")
        client.xadd(DEAD, {"d": "x"})
    assert value("relay_traces_waiting") == 1 and value("relay_traces_oldest_seconds") > 1_000_000
    assert value("relay_traces_dead") == 1
    assert value("relay_spool_bytes") == 40


def test_with_redis_away_the_rest_is_still_said(settings: Any, tmp_path: Path, tenant_a: Any) -> None:
    Quota.objects.create(tenant=tenant_a, metric="tokens", window="hour", limit=1_000)
    settings.REDIS_URL, settings.RELAY_SPOOL_DIR = f"redis://127.0.0.1:{free_port()}/0", str(tmp_path / "none")
    known = {dict(labels)["source"]: how for (name, labels), how in samples().items() if name == "relay_state_known"}
    assert known == {"build": 1, "trace_writer": 0, "spool": 1, "limits": 0, "canaries": 1}
    assert value("relay_spool_bytes") == 0


def test_a_directory_that_cannot_be_written_to_stops_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file" / "metrics"))
    with pytest.raises(ImproperlyConfigured, match=r"PROMETHEUS_MULTIPROC_DIR must be .*Not a directory"):
        writable_directory("PROMETHEUS_MULTIPROC_DIR")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "new"))
    assert writable_directory("PROMETHEUS_MULTIPROC_DIR") == tmp_path / "new"
    assert (tmp_path / "new").is_dir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", " ")
    assert writable_directory("PROMETHEUS_MULTIPROC_DIR") is None


def test_relay_does_not_start_with_it_and_names_the_variable() -> None:
    said = refused({"RELAY_DEBUG": "1", "PROMETHEUS_MULTIPROC_DIR": "/dev/null/metrics"})
    assert said.startswith("PROMETHEUS_MULTIPROC_DIR must be a directory that Relay can write to")


def samples() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(state().decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(name: str) -> float:
    return samples()[name, frozenset()]


def test_canaries_with_their_share_calls_and_how_they_ended(tenant_a: Any) -> None:
    provider = Provider.objects.create(slug=unique("mock"), name="Mock", kind=Provider.Kind.MOCK)
    rows = [Deployment.objects.create(slug=unique("model"), provider=provider, model="m") for _ in range(2)]
    name = unique("route")
    version, _ = import_policy(tenant=tenant_a, slug=name, text=NO_CACHE, activated=True)
    route = save_route(Route(tenant=tenant_a, name=name, policy=version.policy), candidates=[(rows[0], None)])
    canary = start_canary(route=route, candidate=rows[1], stages=[5])
    CanaryCall.objects.bulk_create(CanaryCall(canary_id=canary.pk, candidate=True, failed=n == 0) for n in range(3))
    look_at_all()
    of = {"route": f"{tenant_a.slug}/{name}", "candidate": rows[1].slug}
    found = samples()
    assert found["relay_canary_share_ratio", frozenset(of.items())] == 0.05
    calls = {
        how: found["relay_canary_calls", _labels(of, arm="candidate", outcome=how)] for how in ("failed", "answered")
    }
    assert calls == {"failed": 1, "answered": 2}
    assert found["relay_canary_state", _labels(of, state="running")] == 1
    assert found["relay_canary_state", _labels(of, state="paused")] == 0
    before = found["relay_canary_transitions", _labels({}, state="rolled_back")]
    roll_back(canary=canary)
    found = samples()
    assert found["relay_canary_transitions", _labels({}, state="rolled_back")] == before + 1
    assert found["relay_canary_ended_timestamp_seconds", _labels(of, state="rolled_back")] > 1_000_000
    assert ("relay_canary_share_ratio", frozenset(of.items())) not in found


def _labels(of: dict[str, str], **more: str) -> frozenset[tuple[str, str]]:
    return frozenset({**of, **more}.items())
