from types import SimpleNamespace

import orjson

from traces.core.rows import COLUMNS
from traces.recorder import dump
from traces.tests.records import draft_of

ACME = SimpleNamespace(slug="acme", schema_name="t_acme")
SECRET = "the patient's name is Ada"


def test_a_record_has_every_column_and_where_it_belongs() -> None:
    record = draft_of(ACME).record(now=100.25)
    assert set(record) == {column.name for column in COLUMNS} | {"tenant", "schema", "traceparent", "sampled"}
    assert (record["tenant"], record["schema"]) == ("acme", "t_acme")


def test_times_are_measured_where_the_pipeline_did_not_set_them() -> None:
    record = draft_of(ACME, backend_latency_ms=180.0, queue_wait_ms=20.0).record(now=100.25)
    assert (record["latency_ms"], record["overhead_ms"]) == (250.0, 50.0)
    record = draft_of(ACME, latency_ms=10.0, overhead_ms=1.0).record(now=100.25)
    assert (record["latency_ms"], record["overhead_ms"]) == (10.0, 1.0)


def test_spans_know_their_parents() -> None:
    draft = draft_of(ACME)
    attempt = draft.span("Attempt 1: mock", "upstream", draft.since_start(100.1), 50.0, outcome="answered")
    draft.span("First token", "stream", 100.0, 10.0, attempt)
    outer, inner = draft.record(now=100.25)["spans_json"]
    assert (outer["id"], outer["parent"], outer["attributes"]) == (1, None, {"outcome": "answered"})
    assert (outer["start_ms"], inner["parent"]) == (100.0, 1)


def test_a_tenant_that_keeps_metadata_only_stores_no_content() -> None:
    draft = draft_of(ACME, keep_content=False, status=400, error_code="bad_prompt", reason=f"Refused: {SECRET}")
    draft.prompt_line = SECRET
    draft.request_json = {"messages": [{"role": "user", "content": SECRET}]}
    draft.response_json = {"error": {"message": SECRET}}
    draft.cache_json = {"semantic": "near", "question": SECRET, "refused_because": f"names differ: {SECRET}"}
    draft.attempts_json = [{"number": 1, "outcome": "failed", "code": "bad_prompt", "error": f"I cannot read {SECRET}"}]
    record = draft.record(now=100.25)
    assert SECRET not in dump(record).decode()
    assert record["cache_json"]["semantic"] == "near"
    assert (record["attempts_json"][0]["code"], record["reason"]) == ("bad_prompt", "bad_prompt")
    draft.cache_json = None
    assert draft.record(now=100.25)["cache_json"] is None


def test_json_that_the_fast_writer_refuses_is_mended() -> None:
    nested: list[object] = []
    for _ in range(300):
        nested = [nested]
    data = dump(draft_of(ACME, request_json={"deep": nested, "half": "\ud83d"}).record(now=100.25))
    assert orjson.loads(data)["request_json"]["half"] == "?"
