"""Traces to an OpenTelemetry collector, beside their way into PostgreSQL and never in it.

What cannot be delivered is dropped, counted and said once a minute: a collector that is down must cost nobody anything.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from traces.core.otel import SEMCONV, SpanData, spans_of

KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
SCOPE = InstrumentationScope("relay", schema_url=f"https://opentelemetry.io/schemas/{SEMCONV}")
MOST_WAITING, TOGETHER = 5_000, 64  # traces
SAY_EVERY_S = 60.0
CLOSE_S = 5.0
log = logging.getLogger("relay.traces.otel")


class OtelExport:
    """One thread may call ``take`` and ``close``; a thread of its own sends, over OTLP as the OTEL_* variables say."""

    def __init__(self, *, content: bool) -> None:
        """``content``: prompts and answers, too."""
        self.sent = 0  # traces, as all counts here
        self._refused = self._failed = self._said = 0
        self._said_at = float("-inf")
        self._content = content
        self._exporter = OTLPSpanExporter()
        self._resource = Resource.create({SERVICE_NAME: "relay"}).merge(OTELResourceDetector().detect())
        self._queue: queue.Queue[list[SpanData] | None] = queue.Queue(MOST_WAITING)
        self._closing = False
        self._thread = threading.Thread(target=self._send_forever, name="otel", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        return self._refused + self._failed

    def take(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Those that are sampled. Never waits and never raises, whatever the records hold."""
        for record in records:
            if not record.get("sampled"):
                continue
            if self._queue.full():
                self._refused += 1
                continue
            try:
                self._queue.put_nowait(list(spans_of(record, content=self._content)))
            except (KeyError, TypeError, ValueError, AttributeError):  # of another version
                self._refused += 1
                log.debug("a trace has no spans", extra={"trace_id": record.get("id")}, exc_info=True)

    def close(self, within_s: float = CLOSE_S) -> None:
        """Gives what waits so long, and the thread as long again to end."""
        self._closing = True
        with suppress(queue.Full):  # then the thread is awake
            self._queue.put_nowait(None)
        self._thread.join(within_s)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # ends the pause between two tries
        self._thread.join(within_s)
        self._say_lost()

    def _send_forever(self) -> None:
        while not (self._closing and self._queue.empty()):
            traces = [found] if (found := self._queue.get()) else []
            while len(traces) < TOGETHER and not self._queue.empty():
                traces += [found] if (found := self._queue.get()) else []
            if traces and self._delivered(traces):
                self.sent += len(traces)
            elif traces:
                self._failed += len(traces)
            if self.lost > self._said and time.monotonic() - self._said_at >= SAY_EVERY_S:
                self._say_lost()

    def _delivered(self, traces: list[list[SpanData]]) -> bool:
        try:
            spans = [self._span(data) for trace in traces for data in trace]
            return self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # this thread must go on, whatever a library makes of odd values
            log.debug("spans could not be sent", exc_info=True)
            return False

    def _say_lost(self) -> None:
        if self.lost > self._said:
            told = {"lost": self.lost - self._said, "lost_in_all": self.lost, "sent_in_all": self.sent}
            log.warning("traces could not be exported to OpenTelemetry", extra=told)
            self._said, self._said_at = self.lost, time.monotonic()

    def _span(self, data: SpanData) -> ReadableSpan:
        """Made directly, not by a Tracer: the step is over, and its ids were told to others."""
        trace_id, sampled = int(data.trace_id, 16), TraceFlags(TraceFlags.SAMPLED)
        parent = SpanContext(trace_id, int(data.parent_id, 16), data.remote_parent, sampled) if data.parent_id else None
        return ReadableSpan(
            name=data.name,
            context=SpanContext(trace_id, int(data.span_id, 16), is_remote=False, trace_flags=sampled),
            parent=parent,
            resource=self._resource,
            attributes=data.attributes,
            kind=KINDS[data.kind],
            status=Status(StatusCode.ERROR, data.error) if data.error else Status(StatusCode.UNSET),
            start_time=data.start_ns,
            end_time=data.end_ns,
            instrumentation_scope=SCOPE,
        )
