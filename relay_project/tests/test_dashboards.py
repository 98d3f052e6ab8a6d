"""Dashboards and alert rules: they name what exists, and a Prometheus that scrapes a loaded Relay fills every panel."""

import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

import routing.gauges
import routing.metrics  # noqa: F401 (what they count is in REGISTRY)
from conftest import Shells, eventually
from relay_project.embedded.pytest_plugin import NO_PROMETHEUS
from relay_project.state_metrics import state
from relay_project.tests.monitoring import (
    BACKENDS,
    DASHBOARDS,
    GRAFANA,
    PROMETHEUS,
    RULES,
    Backends,
    configured,
    open_counters,
    panels,
    prometheus,
    queries,
)
from routing.canaries import look_at_all, start_canary
from routing.models import CanaryCall, DeploymentLimit, Route
from routing.shadows.services import start_shadow
from routing.tests.stage import CACHE, Stage
from routing.tests.upstream import FakeProvider, refuses, says

TITLES = {
    "traffic": "Gateway traffic distribution",
    "models": "Multi-model performance comparison",
    "resources": "Resource utilisation by model",
    "ab-test": "A/B test traffic analysis",
    "tenants": "Tenants",
    "slo": "SLO",
}
WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
NOT_A_NAME = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\{[^}]*\}|\b(?:by|on|ignoring|group_left) *\([^)]*\)')
LANGUAGE = {
    "sum",
    "rate",
    "increase",
    "max",
    "min",
    "avg",
    "count",
    "topk",
    "bottomk",
    "histogram_quantile",
    "or",
    "and",
}
LANGUAGE |= {"scalar", "vector", "by", "time"}
PROMETHEUS_OWN = {"up", "ALERTS"}
TOKEN = "a-token-of-the-operator"


def test_there_are_the_six_and_each_reads_well() -> None:
    assert {name: one["title"] for name, one in DASHBOARDS.items()} == TITLES
    assert len({one["uid"] for one in DASHBOARDS.values()}) == len(DASHBOARDS)
    for name, dashboard in DASHBOARDS.items():
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len({*ids}), name
        places = [_place(panel) for panel in dashboard["panels"]]
        assert all(place & other == set() for place, other in _pairs(places)), f"{name}: panels overlap"
        for panel in panels(dashboard):
            assert panel["datasource"]["uid"] == _datasource()["uid"] and panel["targets"], panel["title"]
            assert panel["fieldConfig"]["defaults"].get("unit") or panel["type"] == "table", panel["title"]


@pytest.mark.django_db
def test_every_name_in_a_panel_or_rule_is_one_that_somebody_exposes() -> None:
    open_counters()
    recorded = [rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule]
    known = PROMETHEUS_OWN | {*recorded} | _exposed(state().decode()).union(*map(_exposed, BACKENDS.values()))
    for family in REGISTRY.collect():
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        known.update(f"{family.name}{end}" for end in ends)
    expressions = {f"{name}: {title}": expr for name, one in DASHBOARDS.items() for title, expr in queries(one).items()}
    for group in RULES["groups"]:
        expressions |= {f"rule {rule.get('alert') or rule['record']}": rule["expr"] for rule in group["rules"]}
    for where, expr in expressions.items():
        names = {*WORD.findall(NOT_A_NAME.sub(" ", expr))} - LANGUAGE
        assert names and names <= known, f"{where}: {names - known}"


def test_rules_hold_what_their_cases_say(promtool: str) -> None:
    for arguments in (["check", "rules", "rules.yml"], ["test", "rules", "rules.test.yml"]):
        done = subprocess.run([promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    assert {
        "RelayBurnsErrorBudgetFast",
        "RelayTraceWriterBehind",
        "RelayBreakerOpen",
        "RelayCanaryRolledBack",
    } <= _alerts()


def test_the_deployed_configuration_is_valid(promtool: str, tmp_path: Path) -> None:
    path = configured(tmp_path / "deploy", "web:8000", "vllm:8000", TOKEN)
    done = subprocess.run([promtool, "check", "config", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "19 rules" in done.stdout, done.stdout + done.stderr


def test_every_panel_shows_data_of_a_loaded_relay(loaded: str, prometheus_binary: str, tmp_path: Path) -> None:
    wanted = {(name, title): expr for name, one in DASHBOARDS.items() for title, expr in queries(one).items()}
    with closing(Backends()) as backends:
        config = configured(tmp_path / "deploy", loaded.removeprefix("http://"), backends.address, TOKEN)
        with prometheus(prometheus_binary, config) as url, httpx.Client(base_url=url, timeout=20) as client:

            def all_filled() -> bool:
                for where in [where for where, expr in wanted.items() if _has_data(client, expr)]:
                    del wanted[where]  # once is enough
                return not wanted

            try:
                eventually(all_filled, within_s=240)
            except AssertionError:
                raise AssertionError(f"no data: {wanted}; scrapes: {_scrapes(client)}") from None
            for variable in (one for dashboard in DASHBOARDS.values() for one in dashboard["templating"]["list"]):
                assert _values(client, variable["query"]["query"]), variable["name"]


@pytest.fixture(scope="module")
def stage(shells: Shells, tenant_a: Any) -> Iterator[Stage]:
    with closing(FakeProvider()) as fake, closing(Stage(shells, fake, tenant_a)) as made:
        yield made


@pytest.fixture
def loaded(stage: Stage, settings: Any) -> Iterator[str]:
    """A Relay to which all goes that panels show: streams, hits, failovers, refusals, a split, limits, a canary, a
    shadow."""
    settings.RELAY_METRICS_TOKEN = TOKEN
    base, done = stage.shells.express, Event()
    split = stage.route(says("one", " two", gap_s=0.002), says("three", " four"), shares=(50, 50))
    failing = stage.route(refuses(500), says("stand-in"))
    cached = stage.route(says("again"), policy=CACHE)
    DeploymentLimit.objects.create(deployment=stage.deployment(cached), metric="tokens", window="day", limit=10**9)
    _try_out(stage, failing)
    _, limited = stage.new_key(quota={"metric": "requests", "window": "day", "limit": 1})

    def load() -> None:
        number = 0
        while not done.wait(0.05):
            number += 1
            stage.ask(base, split, f"hello {number}", stream=True)
            stage.ask(base, failing)
            stage.ask(base, cached)
            stage.ask(base, "no-such-model")
            stage.ask(base, split, key=limited)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(load)
        yield base
        done.set()
        running.result(60)


def _try_out(stage: Stage, model: str) -> None:
    """A canary that has seen calls, and a shadow."""
    route, new = Route.objects.get(name=model), stage.deployment(stage.route(says("new")))
    canary = start_canary(route=route, candidate=new)
    CanaryCall.objects.bulk_create(
        CanaryCall(canary_id=canary.pk, candidate=n % 2 == 0, failed=n > 2) for n in range(6)
    )
    look_at_all()
    start_shadow(route=route, candidate=new, percent=100, budget_microusd=10**9)


@pytest.fixture(scope="session")
def prometheus_binary() -> str:
    return _binary("prometheus")


@pytest.fixture(scope="session")
def promtool() -> str:
    return _binary("promtool")


def _binary(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(NO_PROMETHEUS)
    return path


def _has_data(client: httpx.Client, expr: str) -> bool:
    answer = client.get("/api/v1/query", params={"query": expr}).json()
    assert answer["status"] == "success", f"{expr}: {answer.get('error')}"
    return any(not math.isnan(float(one["value"][1])) for one in answer["data"]["result"])


def _scrapes(client: httpx.Client) -> dict[str, tuple[float, str]]:
    """By job: how long the last one took, in seconds, and what was wrong with it."""
    targets = client.get("/api/v1/targets").json()["data"]["activeTargets"]
    return {one["labels"]["job"]: (one["lastScrapeDuration"], one["lastError"]) for one in targets}


def _values(client: httpx.Client, query: str) -> list[str]:
    """Of a variable, as Grafana would list them."""
    found = re.fullmatch(r"label_values\((\w+), (\w+)\)", query)
    assert found, query
    answer = client.get(f"/api/v1/label/{found[2]}/values", params={"match[]": found[1]}).json()
    return list(answer["data"])


def _exposed(text: str) -> set[str]:
    families = list(text_string_to_metric_families(text))
    return {sample.name for family in families for sample in family.samples}.union(one.name for one in families)


def _alerts() -> set[str]:
    return {rule["alert"] for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}


def _datasource() -> dict[str, Any]:
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    return dict(source)


def _place(panel: dict[str, Any]) -> set[tuple[int, int]]:
    grid = panel["gridPos"]
    assert grid["x"] + grid["w"] <= 24, panel["title"]
    return {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}


def _pairs(places: list[set[tuple[int, int]]]) -> Iterator[tuple[set[tuple[int, int]], set[tuple[int, int]]]]:
    return ((one, other) for number, one in enumerate(places) for other in places[:number])
