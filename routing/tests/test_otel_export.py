"""From a client's traceparent to the collector and to the provider, with the real pipeline, writer and protocol."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock

import pytest
from django.test import override_settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from conftest import eventually, unique
from routing.tests.stage import CACHE, Stage
from routing.tests.upstream import hears, refuses, says
from traces.core.otel import SEMCONV
from traces.core.trace_context import Sampler, read_traceparent

SECRET = "my PIN is 4711"


class Collector:
    """An OTLP receiver: what came, decoded by the protocol's own definition."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def resources(self) -> Iterator[Any]:
        for body in list(self.bodies):
            yield from ExportTraceServiceRequest.FromString(body).resource_spans

    def spans(self, trace_id: str) -> list[Span]:
        found = [span for one in self.resources() for scope in one.scope_spans for span in scope.spans]
        return [span for span in found if span.trace_id.hex() == trace_id]

    def has(self, trace_id: str) -> list[Span]:
        return eventually(lambda: self.spans(trace_id))


@pytest.fixture(scope="module", autouse=True)
def collector() -> Iterator[Collector]:
    """There before the servers and workers of this module start, which read where it is from the environment."""
    made = Collector()
    told = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": made.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-collector-key=planted-secret",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "1.0",
    }
    with ExitStack() as stack:
        stack.callback(made.close)
        stack.enter_context(mock.patch.dict(os.environ, told))
        stack.enter_context(override_settings(RELAY_OTEL_SAMPLER=Sampler(by_parent=True, share=1.0)))
        yield made


def attributes(span: Span) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in span.attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, str(kind))


def test_a_trace_reaches_the_collector_under_the_clients_span(base: str, stage: Stage, collector: Collector) -> None:
    told: list[Any] = []
    model, trace_id = stage.route(refuses(503), hears(told, says("hi"))), os.urandom(16).hex()
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "X-Request-ID": unique("asked")}
    answer = stage.ask(base, model, SECRET, headers=headers)
    assert answer.status_code == 200
    spans = {span.name: span for span in collector.has(trace_id)}
    whole, first, second = (spans[name] for name in (f"chat {model}", f"chat {model}-0", f"chat {model}-1"))
    assert whole.parent_span_id.hex() == "00f067aa0ba902b7" and whole.kind == Span.SPAN_KIND_SERVER
    assert first.parent_span_id == second.parent_span_id == whole.span_id and second.kind == Span.SPAN_KIND_CLIENT
    assert (first.status.code, first.status.message) == (Status.STATUS_CODE_ERROR, "http_503")
    assert attributes(first)["error.type"] == "http_503" and second.status.code == Status.STATUS_CODE_UNSET
    said = attributes(whole)
    assert said["relay.trace_id"] == answer.headers["x-relay-trace-id"]
    assert (said["relay.request_id"], said["relay.outcome"]) == (headers["X-Request-ID"], "fell_back")
    said = attributes(second)
    assert (said["gen_ai.operation.name"], said["gen_ai.request.model"]) == ("chat", f"{model}-1")
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (5, 7)
    assert said["gen_ai.response.finish_reasons"] == ["stop"]
    [heard] = told
    assert heard["X-Request-ID"] == headers["X-Request-ID"]
    assert heard["traceparent"] == f"00-{trace_id}-{second.span_id.hex()}-01"
    assert not any(SECRET.encode() in body for body in collector.bodies)


def test_without_a_client_span_the_trace_has_relays_own_id(base: str, stage: Stage, collector: Collector) -> None:
    told: list[Any] = []
    model = stage.route(hears(told, says("one ", "two")), policy=CACHE)
    asked = [stage.ask(base, model, stream=stream, headers={"traceparent": "00-nonsense"}) for stream in (True, False)]
    streamed, cached = (answer.headers["x-relay-trace-id"].replace("-", "") for answer in asked)
    spans = {span.name: span for span in collector.has(streamed)}
    assert not spans[f"chat {model}"].parent_span_id
    call = spans[f"chat {model}-0"]
    assert spans["First token"].parent_span_id == call.span_id
    assert attributes(call)["gen_ai.response.time_to_first_chunk"] > 0
    heard = read_traceparent(told[0]["traceparent"])
    assert heard is not None and (heard.trace_id, heard.span_id) == (streamed, call.span_id.hex())
    hit = {span.name: attributes(span) for span in collector.has(cached)}
    assert hit[f"chat {model}"]["relay.cache"] == "exact"
    assert not [name for said in hit.values() for name in said if name.startswith("gen_ai.")]


def test_a_client_that_does_not_sample_is_followed(stage: Stage, collector: Collector) -> None:
    told: list[Any] = []
    model, unwanted, wanted = stage.route(hears(told, says("hi"))), os.urandom(16).hex(), os.urandom(16).hex()
    for trace_id, flags in ((unwanted, "00"), (wanted, "01")):
        headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-{flags}"}
        answer = stage.ask(stage.shells.express, model, headers=headers)
        stage.trace(answer)  # it is stored, whether or not it is exported
    assert collector.has(wanted) and not collector.spans(unwanted)
    assert [heard["traceparent"][-3:] for heard in told] == ["-00", "-01"]


def test_a_request_that_is_refused_is_told_too(base: str, stage: Stage, collector: Collector) -> None:
    trace_id = os.urandom(16).hex()
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    assert stage.ask(base, stage.route(says("hi")), messages=[], headers=headers).status_code == 400
    [span] = collector.has(trace_id)
    assert attributes(span)["http.response.status_code"] == 400 and span.status.code == Status.STATUS_CODE_UNSET


def test_the_collector_learns_who_sends_and_how_it_is_named(stage: Stage, collector: Collector) -> None:
    stage.ask(stage.shells.express, stage.route(says("hi")))
    resource = eventually(lambda: list(collector.resources()))[0]
    said = {one.key: _value(one.value) for one in resource.resource.attributes}
    assert (said["service.name"], said["deployment.environment.name"]) == ("relay", "test")
    assert resource.scope_spans[0].schema_url == f"https://opentelemetry.io/schemas/{SEMCONV}"
    assert collector.headers[0]["x-collector-key"] == "planted-secret"
