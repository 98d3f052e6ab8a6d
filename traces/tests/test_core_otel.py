"""The spans made of a record: their names, their tree, and what they must not say."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes
from opentelemetry.semconv.schemas import Schemas

from traces.core.otel import SEMCONV, SpanData, spans_of
from traces.core.otel_content import LONGEST, finish_reasons, input_messages, output_messages
from traces.core.trace_context import attempt_step, span_id_of
from traces.tests.records import draft_of

ACME = SimpleNamespace(slug="acme", schema_name="t_acme")
CLIENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRET = "the patient's name is Ada"
QUESTION = {"model": "local", "messages": [{"role": "user", "content": SECRET}]}
ANSWER = {"choices": [{"message": {"role": "assistant", "content": SECRET}, "finish_reason": "stop"}]}


def attempt(number: int, deployment: str, **facts: Any) -> dict[str, Any]:
    usual = {"outcome": "answered", "status": 200, "code": None, "error": None, "hedge": False, "own_account": False}
    named = {"number": number, "deployment": deployment, "provider": "acme-ai", "model": f"{deployment}-1"}
    return {**usual, **named, "start_ms": 12.0, "duration_ms": 80.0, **facts}


def fell_back() -> dict[str, Any]:
    """One candidate answered 503, the next one streamed an answer."""
    draft = draft_of(
        ACME, deployment="second", provider="acme-ai", stream=True, ttft_ms=42.0, tokens_in=12, tokens_out=3
    )
    draft.started_at, draft.outcome, draft.policy = 1_800_000_000.25, "fell_back", "default"
    draft.request_json, draft.response_json, draft.prompt_line, draft.reason = QUESTION, ANSWER, SECRET, SECRET
    draft.scheduler_json = {"pool": "second", "max_tokens_after": 64}
    draft.attempts_json = [
        attempt(1, "first", outcome="failed", status=503, code="http_503", error=f"I cannot read {SECRET}"),
        attempt(2, "second"),
    ]
    draft.span("Choose route", "decision", 1.0, 0.5, policy="default v1")
    draft.span("Attempt 1: first", "upstream", 2.0, 9.0, outcome="failed", code="http_503")
    second = draft.span("Attempt 2: second", "upstream", 12.0, 80.0, outcome="answered", code=None)
    draft.span("First token", "stream", 12.0, 30.0, second)
    return draft.record(now=100.1)


def spans(record: dict[str, Any], *, content: bool = False) -> dict[str, SpanData]:
    return {span.name: span for span in spans_of(record, content=content)}


def test_a_request_its_steps_and_its_calls_are_a_tree() -> None:
    record = fell_back()
    found = spans(record)
    assert list(found) == ["chat local-ollama", "Choose route", "chat first-1", "chat second-1", "First token"]
    whole, decision, first, second, token = found.values()
    assert [span.kind for span in found.values()] == ["server", "internal", "client", "client", "internal"]
    assert decision.parent_id == first.parent_id == second.parent_id == whole.span_id
    assert token.parent_id == second.span_id == span_id_of(record["id"], attempt_step("second"))
    assert len({span.span_id for span in found.values()}) == 5
    assert {span.trace_id for span in found.values()} == {record["id"].replace("-", "")} and not whole.parent_id
    assert (whole.start_ns, whole.end_ns) == (1_800_000_000_250_000_000, 1_800_000_000_350_000_000)
    assert (second.start_ns - whole.start_ns, second.end_ns - second.start_ns) == (12_000_000, 80_000_000)


def test_a_call_has_the_conventions_names() -> None:
    _, _, first, second, _ = spans(fell_back()).values()
    assert (first.error, first.attributes["error.type"]) == ("http_503", "http_503")
    assert first.attributes["http.response.status_code"] == 503 and "gen_ai.usage.input_tokens" not in first.attributes
    assert not second.error and "error.type" not in second.attributes
    assert {name: value for name, value in second.attributes.items() if name.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "acme-ai",
        "gen_ai.request.model": "second-1",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.response.time_to_first_chunk": 0.03,
        "gen_ai.response.finish_reasons": ["stop"],
    }


def test_the_names_are_those_of_the_version_that_is_said() -> None:
    assert f"https://opentelemetry.io/schemas/{SEMCONV}" in {schema.value for schema in Schemas}
    modules = (gen_ai_attributes, error_attributes, http_attributes)
    known = {value for module in modules for value in vars(module).values() if isinstance(value, str)}
    for span in spans_of(fell_back() | {"status": 500, "error_code": "x"}, content=True):
        assert {name for name in span.attributes if not name.startswith("relay.")} <= known


def test_the_clients_span_is_the_parent_of_the_request() -> None:
    whole = spans(fell_back() | {"traceparent": CLIENT})["chat local-ollama"]
    assert (whole.trace_id, whole.parent_id) == (CLIENT[3:35], CLIENT[36:52]) and whole.remote_parent
    assert whole.attributes["relay.tenant"] == "acme" and "relay.error" not in whole.attributes


def test_content_is_said_only_where_it_is_asked_for_and_kept() -> None:
    assert SECRET not in repr(list(spans_of(fell_back(), content=False)))
    call = spans(fell_back(), content=True)["chat second-1"]
    [asked], [answered] = (json.loads(str(call.attributes[f"gen_ai.{way}.messages"])) for way in ("input", "output"))
    assert asked == {"role": "user", "parts": [{"type": "text", "content": SECRET}]}
    assert answered == {
        "role": "assistant",
        "parts": [{"type": "text", "content": SECRET}],
        "finish_reason": "stop",
    }
    bare = draft_of(
        ACME, keep_content=False, deployment="d", response_json=ANSWER, request_json=QUESTION, reason=SECRET
    )
    bare.attempts_json = [attempt(1, "d", error=SECRET)]
    bare.span("Attempt 1: d", "upstream", 0, 1, outcome="answered")
    assert SECRET not in repr(list(spans_of(bare.record(now=101), content=True)))


def test_a_request_that_failed_is_an_error_and_one_that_was_refused_is_none() -> None:
    failed = draft_of(ACME, outcome="failed", status=502, error_code="providers_failed", route="").record(now=101)
    assert [(span.name, span.error) for span in spans_of(failed, content=False)] == [("chat", "providers_failed")]
    unnamed = next(spans_of(failed | {"error_code": ""}, content=False))
    assert unnamed.error == "502" and "error.type" not in unnamed.attributes
    limited = next(spans_of(failed | {"outcome": "limited", "status": 429}, content=False))
    assert not limited.error and limited.attributes["error.type"] == "providers_failed"


def test_an_embedding_is_an_operation_of_its_own() -> None:
    record = fell_back() | {"endpoint": "embeddings", "ttft_ms": None, "scheduler_json": None, "response_json": None}
    call = spans(record)["embeddings second-1"]
    assert call.attributes["gen_ai.operation.name"] == "embeddings"
    assert not {name for name in call.attributes if "max_tokens" in name or "finish" in name or "chunk" in name}


@given(st.floats(0, 4e9), st.lists(st.tuples(st.floats(0, 1e6), st.floats(-5, 1e6), st.booleans()), max_size=6))
def test_every_span_hangs_on_another_and_ends_after_its_start(
    started_at: float, steps: list[tuple[float, float, bool]]
) -> None:
    draft = draft_of(ACME, started_at=started_at)
    parent = None
    for start, took, nested in steps:
        number = draft.span("Step", "gate", start, took, parent, why=None, note="x", items=[1])
        parent = number if nested else None
    whole, *rest = spans_of(draft.record(now=101), content=False)
    known = {whole.span_id} | {span.span_id for span in rest}
    assert len(known) == len(rest) + 1 and all(span.parent_id in known for span in rest)
    assert all(0 <= span.start_ns <= span.end_ns for span in (whole, *rest))
    assert all(set(span.attributes) == {"relay.note"} for span in rest)


WORDS = "role content messages prompt input type text tool_calls function choices message finish_reason"
json_values: Any = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS.split()), inner, max_size=5),
    max_leaves=20,
)


@given(json_values)
def test_whatever_a_client_sent_can_be_told(value: Any) -> None:
    for told in (input_messages(value), output_messages(value)):
        assert told is None or isinstance(json.loads(told), list)
    assert all(isinstance(reason, str) for reason in finish_reasons(value))


def test_parts_that_are_no_text_are_named_and_tools_are_told() -> None:
    call = {"id": "c1", "function": {"name": "look_up", "arguments": '{"q": 1}'}}
    said = [
        {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": "data:…"}]},
        {"role": "assistant", "content": None, "tool_calls": [call, "odd"]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    assert [one["parts"] for one in json.loads(input_messages({"messages": said}) or "")] == [
        [{"type": "text", "content": "see"}, {"type": "image_url"}],
        [{"type": "tool_call", "id": "c1", "name": "look_up", "arguments": '{"q": 1}'}],
        [{"type": "tool_call_response", "id": "c1", "response": "42"}],
    ]


@pytest.mark.parametrize("body", [{"prompt": "hi"}, {"input": "hi"}, {"input": ["hi"]}])
def test_every_endpoint_has_input(body: dict[str, Any]) -> None:
    [message] = json.loads(input_messages(body) or "")
    assert message["parts"] == [{"type": "text", "content": "hi"}]


@given(st.lists(st.integers(0, 3 * LONGEST), max_size=6))
def test_what_is_told_is_bounded_and_the_newest_stays(sizes: list[int]) -> None:
    said = [{"role": "user", "content": "x" * size} for size in sizes]
    told = json.loads(input_messages({"messages": said}) or "")
    texts = [one["parts"][0]["content"] for one in told]
    assert sum(map(len, texts)) <= LONGEST
    assert not sizes or len(texts[-1]) == min(sizes[-1], LONGEST - 4)
