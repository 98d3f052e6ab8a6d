"""From a trace's record to OpenTelemetry spans: the request, its steps, and a ``gen_ai`` call for each attempt.

Names are those of the semantic conventions SEMCONV; what they have no name for begins with ``relay.``. The request's
own span carries no ``gen_ai`` name, because a system that sums those up would count a call and its tokens twice.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from traces.core.otel_content import finish_reasons, input_messages, output_messages
from traces.core.trace_context import Parent, attempt_step, read_traceparent, span_id_of, trace_id_of

SEMCONV = "1.44.0"  # https://opentelemetry.io/schemas/1.44.0
OPERATIONS = {"chat": "chat", "infer": "chat", "embeddings": "embeddings"}  # by endpoint
REQUEST = "request"  # the step that is the whole
COPIED = (
    ("id", "relay.trace_id"),
    *((name, f"relay.{name}") for name in ("tenant", "request_id", "outcome", "endpoint", "stream", "route")),
    *((name, f"relay.{name}") for name in ("provider", "deployment", "model", "policy", "policy_version")),
    *((name, f"relay.{name}") for name in ("strategy", "bucket", "lane", "cache", "cost_microusd", "saved_microusd")),
    *((name, f"relay.{name}") for name in ("queue_wait_ms", "ttft_ms", "overhead_ms")),
)
Value = str | bool | int | float | list[str]
Attributes = Mapping[str, Value]
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SpanData:
    """Ids in hexadecimal, times in nanoseconds since 1970. ``error`` is a code, or empty; it never quotes anybody."""

    trace_id: str
    span_id: str
    parent_id: str  # empty: it has none
    name: str
    kind: Literal["server", "client", "internal"]
    start_ns: int
    end_ns: int
    attributes: Attributes = field(default_factory=dict)
    error: str = ""
    remote_parent: bool = False  # the parent is the client's span


def spans_of(record: Json, *, content: bool) -> Iterator[SpanData]:
    """The request's span first. ``content``: prompts and answers too, as far as the tenant keeps them.

    A record is as ``TraceDraft.record`` made it. Raises KeyError, TypeError, ValueError or AttributeError if it is not.
    """
    client = read_traceparent(record.get("traceparent") or "")
    whole = _request(record, client)
    yield whole
    attempts = {f"Attempt {one['number']}: {one['deployment']}": one for one in record["attempts_json"]}
    steps = [(step, attempts.get(step["name"])) for step in record["spans_json"]]
    ids = {step["id"]: _step_id(record, step, attempt) for step, attempt in steps}
    for step, attempt in steps:
        start_ns = whole.start_ns + round(step["start_ms"] * 1e6)
        span = SpanData(
            trace_id=whole.trace_id,
            span_id=ids[step["id"]],
            parent_id=ids.get(step["parent"], whole.span_id),
            name=step["name"],
            kind="internal",
            start_ns=start_ns,
            end_ns=start_ns + round(max(0.0, step["duration_ms"]) * 1e6),
            attributes=_prefixed(step),
        )
        yield span if attempt is None else _call(span, record, attempt, content=content)


def _request(record: Json, client: Parent | None) -> SpanData:
    attributes: dict[str, Value] = {name: record[key] for key, name in COPIED if record.get(key) not in (None, "")}
    attributes |= {"http.request.method": "POST", "http.response.status_code": record["status"]}
    if record["error_code"]:
        attributes["error.type"] = record["error_code"]
    start_ns = round(record["started_at"] * 1e6) * 1000
    return SpanData(
        trace_id=trace_id_of(record["id"], client),
        span_id=span_id_of(record["id"], REQUEST),
        parent_id=client.span_id if client else "",
        name=f"{record['endpoint']} {record['route']}".strip(),
        kind="server",
        start_ns=start_ns,
        end_ns=start_ns + round(max(0.0, record["latency_ms"]) * 1e6),
        attributes=attributes,
        error=(record["error_code"] or str(record["status"])) if record["outcome"] == "failed" else "",
        remote_parent=client is not None,
    )


def _step_id(record: Json, step: Json, attempt: Json | None) -> str:
    """An attempt's is the one that its provider was told."""
    known = f"step/{step['id']}" if attempt is None else attempt_step(attempt["deployment"])
    return span_id_of(record["id"], known)


def _prefixed(step: Json) -> dict[str, Value]:
    given = {f"relay.{name}": value for name, value in step["attributes"].items()}
    return {name: value for name, value in given.items() if isinstance(value, str | bool | int | float)}


def _call(span: SpanData, record: Json, attempt: Json, *, content: bool) -> SpanData:
    operation = OPERATIONS.get(record["endpoint"], record["endpoint"])
    attributes: dict[str, Value | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": attempt["provider"],
        "gen_ai.request.model": attempt["model"],
        "gen_ai.request.stream": record["stream"],
        "http.response.status_code": attempt["status"],
        "error.type": attempt["code"],
        "relay.deployment": attempt["deployment"],
        "relay.outcome": attempt["outcome"],
        "relay.hedge": attempt["hedge"],
        "relay.own_account": attempt["own_account"],
    }
    if attempt["deployment"] == record["deployment"]:
        attributes |= _served(record, attempt, content=content)
    given = {name: value for name, value in attributes.items() if value is not None}
    error = attempt["code"] or "" if attempt["outcome"] == "failed" else ""
    return replace(span, name=f"{operation} {attempt['model']}", kind="client", attributes=given, error=error)


def _served(record: Json, attempt: Json, *, content: bool) -> dict[str, Value | None]:
    """Of the last that was asked, which is the one that answered if any did."""
    scheduled = record["scheduler_json"] or {}
    ttft_ms = record["ttft_ms"]
    return {
        "gen_ai.request.max_tokens": scheduled.get("max_tokens_after"),
        "gen_ai.usage.input_tokens": record["tokens_in"],
        "gen_ai.usage.output_tokens": record["tokens_out"],
        "gen_ai.response.time_to_first_chunk": None if ttft_ms is None else (ttft_ms - attempt["start_ms"]) / 1000,
        "gen_ai.response.finish_reasons": finish_reasons(record["response_json"]) or None,
        "gen_ai.input.messages": input_messages(record["request_json"]) if content else None,
        "gen_ai.output.messages": output_messages(record["response_json"]) if content else None,
    }
