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
from routing.models import Deployment, DeploymentLimit, Provider
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
    assert known == {"build": 1, "trace_writer": 0, "spool": 1, "limits": 0}
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
