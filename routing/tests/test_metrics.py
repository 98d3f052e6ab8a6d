"""What a request leaves in /metrics: once, under names of the configuration only."""

from typing import Any

import pytest
from prometheus_client import REGISTRY, Counter
from prometheus_client.parser import text_string_to_metric_families

from conftest import eventually, unique
from routing import gauges, metrics
from routing.core.evidence import Burn, Evidence
from routing.gauges import publish
from routing.metrics import NONE, count
from routing.series import Series
from routing.tests.stage import CACHE, Stage
from routing.tests.upstream import USAGE, refuses, says
from traces.tests.records import draft_of

TOKEN = "a-token-of-the-operator"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(autouse=True)
def operator(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' process has seen more routes and deployments than one may name in its metrics."""
    settings.RELAY_METRICS_TOKEN = TOKEN
    for series in (*vars(metrics).values(), *vars(gauges).values()):
        if isinstance(series, Series):
            monkeypatch.setattr(series, "_limit", 100_000)


def test_an_answer_is_counted_with_its_tokens_cost_and_times(base: str, stage: Stage) -> None:
    name = stage.route(says("Good", " morning"))
    before = scrape(stage, base)
    assert "Good" in stage.ask(base, name, stream=True).text
    new = difference(before, scrape(stage, base))
    served = {"provider": stage._provider.slug, "deployment": f"{name}-0", "model": f"{name}-0"}
    route, tenant = {"route": f"{stage.tenant.slug}/{name}"}, {"tenant": stage.tenant.slug}
    asked = {**tenant, **route, **served, "endpoint": "chat", "status": "200", "outcome": "ok"}
    assert got(new, "relay_requests_total", asked) == 1
    assert got(new, "relay_attempts_total", {**served, "kind": "first", "outcome": "answered"}) == 1
    assert [got(new, "relay_tokens_total", {**tenant, **served, "direction": one}) for one in ("in", "out")] == [*USAGE]
    assert got(new, "relay_cost_dollars_total", {**tenant, **served}) == pytest.approx(19e-6)
    assert got(new, "relay_admissions_total", {"deployment": f"{name}-0", "lane": "short", "decision": "granted"}) == 1
    for histogram, labels in {
        "relay_request_seconds": {**route, **served},
        "relay_time_to_first_token_seconds": {**route, **served},
        "relay_inter_token_seconds": served,
        "relay_queue_wait_seconds": {"deployment": f"{name}-0", "lane": "short"},
        "relay_overhead_seconds": {"endpoint": "chat"},
    }.items():
        assert got(new, f"{histogram}_count", labels) == 1, histogram


def test_a_failover_shows_both_calls_and_a_hit_shows_what_it_saved(base: str, stage: Stage) -> None:
    name = stage.route(refuses(500), says("hello"), policy=CACHE)
    before = scrape(stage, base)
    assert [stage.ask(base, name).headers["x-relay-cache"] for _ in range(2)] == ["miss", "exact"]
    new = difference(before, scrape(stage, base))
    calls = {(f"{name}-0", "first", "failed"), (f"{name}-1", "retry", "answered")}
    assert each(new, "relay_attempts_total", "deployment", "kind", "outcome") == calls
    ended = {("fell_back", f"{name}-1", stage._provider.slug), ("cached", f"{name}-1", "cache")}
    assert each(new, "relay_requests_total", "outcome", "deployment", "provider") == ended
    saved = {"tenant": stage.tenant.slug, "cache": "exact"}
    assert got(new, "relay_cache_saved_dollars_total", saved) == pytest.approx(19e-6)


def test_names_that_clients_invent_make_no_series(base: str, stage: Stage) -> None:
    stage.ask(base, unique("warm-up"))
    before = scrape(stage, base)
    hostile = [f'{unique("evil")}"}} 1\nrelay_fake{{x="{"a" * number}' for number in range(50)]
    assert {stage.ask(base, model).status_code for model in hostile} <= {400, 404}
    after = scrape(stage, base)
    made = {key for key in after if key not in before and key[0].startswith("relay_") and key[0].endswith("_total")}
    assert not made and "evil" not in str(after)
    assert ("other", NONE, NONE) in each(
        difference(before, after), "relay_requests_total", "route", "provider", "model"
    )


def test_ten_thousand_hostile_models_are_one_series(tenant_a: Any) -> None:
    def series() -> int:
        counters = (family for family in REGISTRY.collect() if family.type == "counter")
        return sum(len(family.samples) for family in counters if family.name.startswith("relay_"))

    refused = {"outcome": "rejected", "status": 404, "error_code": "model_not_found"}
    one = draft_of(tenant_a, route="evil", **refused)
    count("", one, one.record(now=100.25))
    before = series()
    for number in range(10_000):
        draft = draft_of(tenant_a, route=f"evil-{number}", **refused)
        count("", draft, {})
    assert series() == before


def test_even_names_of_the_configuration_are_bounded() -> None:
    limited = Series(Counter(unique("relay_test").replace("-", "_"), "x", ["route"]), 100)
    for number in range(10_000):
        limited.of(f"route-{number}").inc()
    family = next(iter(limited._metric.collect()))
    values = {sample.labels["route"]: sample.value for sample in family.samples if sample.name.endswith("_total")}
    assert len(values) == 101 and values["other"] == 9_900
    assert REGISTRY.get_sample_value("relay_metric_overflow_total", {"metric": family.name}) == 9_900


def test_a_process_says_what_it_knows_of_lanes_and_breakers() -> None:
    name = unique("deployment")
    lanes = {"short": {"in_flight": 3, "waiting": 2}}
    evidence = {name: Evidence(breaker="open", burn=Burn(m5=14.4))}
    publish(evidence, {"worker_alive": True, "pools": {name: {"capacity": 8, "lanes": lanes}}})
    its = {"deployment": name}
    assert REGISTRY.get_sample_value("relay_lane_in_flight", {**its, "lane": "short"}) == 3
    assert REGISTRY.get_sample_value("relay_lane_waiting", {**its, "lane": "short"}) == 2
    assert REGISTRY.get_sample_value("relay_breaker_state", its) == 2
    assert REGISTRY.get_sample_value("relay_burn_rate", {**its, "window": "5m"}) == 14.4


def test_every_process_says_it_again_and_again(base: str, stage: Stage) -> None:
    name = stage.route(says("hello"))
    stage.ask(base, name)
    key = "relay_lane_capacity", frozenset({("deployment", f"{name}-0")})
    assert eventually(lambda: scrape(stage, base).get(key)) == stage.deployment(name).capacity


def test_a_key_that_nobody_has_is_counted_under_no_name_of_its_own(base: str, stage: Stage) -> None:
    before = scrape(stage, base)
    for key in ("sk-relay-wrong", unique("sk-relay-also-wrong")):
        assert stage.ask(base, "gpt", key=key).status_code == 401
    new = difference(before, scrape(stage, base))
    nobody = {"tenant": "", "route": "other", "provider": NONE, "deployment": NONE, "model": NONE}
    assert got(new, "relay_requests_total", {**nobody, "endpoint": "chat", "status": "401", "outcome": "rejected"}) == 2


def scrape(stage: Stage, base: str) -> Samples:
    text = stage.http.get(f"{base}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def difference(before: Samples, after: Samples) -> Samples:
    return {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)}


def got(new: Samples, name: str, labels: dict[str, str]) -> float:
    return new[name, frozenset(labels.items())]


def each(new: Samples, name: str, *labels: str) -> set[tuple[str, ...]]:
    """The values of these labels, of every series of that name."""
    return {tuple(dict(its)[label] for label in labels) for found, its in new if found == name}
