from typing import Any

from django_tenants.utils import tenant_context

from conftest import unique
from tenants.services import create_tenant
from traces.core.rows import COLUMNS
from traces.models import Trace
from traces.samples import DAY_S, sample_traces, write_samples

NOW = 1_717_156_800.0  # 31 May 2024, noon UTC


def made(**options: Any) -> list[dict[str, Any]]:
    return list(sample_traces(now=NOW, count=400, **options))


def test_the_same_seed_tells_the_same_day() -> None:
    assert made(seed=3) == made(seed=3)
    assert made(seed=3) != made(seed=4)


def test_a_day_of_every_outcome_and_labelled() -> None:
    traces = made()
    assert {trace["outcome"] for trace in traces} == set(Trace.Outcome.values)
    assert {trace["cache"] for trace in traces} == {"off", "miss", "exact", "semantic"}
    assert all(trace["sample"] and NOW - DAY_S <= trace["started_at"] <= NOW for trace in traces)
    assert [trace["id"] for trace in traces] == sorted(trace["id"] for trace in traces)
    assert all(set(trace) >= {column.name for column in COLUMNS} for trace in traces)


def test_each_trace_agrees_with_itself() -> None:
    for trace in made():
        outcomes = [attempt["outcome"] for attempt in trace["attempts_json"]]
        assert ("answered" in outcomes) == (trace["outcome"] in ("ok", "fell_back"))
        assert (trace["outcome"] == "fell_back") == (len(outcomes) > 1 and outcomes[-1] == "answered")
        assert trace["latency_ms"] >= (trace["backend_latency_ms"] or 0) + (trace["queue_wait_ms"] or 0)
        assert all(span["start_ms"] + span["duration_ms"] <= trace["latency_ms"] + 1 for span in trace["spans_json"])
        assert trace["plan_json"] is not None or trace["outcome"] == "rejected"


def test_a_cached_answer_names_the_trace_it_came_from() -> None:
    traces = made()
    by_id = {trace["id"]: trace for trace in traces}
    cached = [trace for trace in traces if trace["outcome"] == "cached"]
    for trace in cached:
        source = by_id[trace["cache_json"]["source_trace"]]
        assert source["response_json"] == trace["response_json"]
        assert source["started_at"] < trace["started_at"]
        assert trace["backend_latency_ms"] is None
    assert cached


def test_samples_land_in_the_tenants_schema_once(committed: None) -> None:
    tenant = create_tenant(slug=unique("samples"))
    assert write_samples(tenant, count=120, now=NOW) == 120
    assert write_samples(tenant, count=120, now=NOW) == 0
    with tenant_context(tenant):
        assert Trace.objects.filter(sample=True).count() == 120
