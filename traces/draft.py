"""The trace of a request while it runs. Only the pipeline writes to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SpanKind = Literal["gate", "cache", "decision", "waiting", "upstream", "stream", "write"]


@dataclass(slots=True)
class TraceDraft:
    """The columns of ``Trace`` with a few more, which go to the stream only. Headers never enter: they carry secrets.

    ``started_monotonic`` and every ``now`` here are seconds of one monotonic clock; ``started_at`` is epoch seconds.
    """

    id: str
    tenant: str
    schema: str
    started_at: float
    started_monotonic: float
    keep_content: bool = True  # False: neither prompts nor answers leave this object
    request_id: str = ""
    traceparent: str = ""  # the client's
    sampled: bool = False  # whether it goes to OpenTelemetry
    outcome: str = "failed"
    status: int = 500
    error_code: str = ""
    sample: bool = False
    api_key: str = ""
    key_id: str = ""
    route: str = ""
    provider: str = ""
    deployment: str = ""
    model: str = ""
    policy: str = ""
    policy_version: int = 0
    bucket: str = ""
    lane: str = ""
    cache: str = "off"
    stream: bool = False
    endpoint: str = "chat"
    strategy: str = ""
    task: str = ""
    latency_ms: float | None = None  # measured by ``record`` unless set
    backend_latency_ms: float | None = None
    queue_wait_ms: float | None = None
    ttft_ms: float | None = None
    overhead_ms: float | None = None  # computed by ``record`` unless set
    tokens_in: int | None = None
    tokens_out: int | None = None
    usage_source: str = ""
    charged_requests: int = 0
    charged_tokens: int = 0
    price_in_microusd: int | None = None
    price_out_microusd: int | None = None
    cost_microusd: int = 0
    saved_microusd: int = 0
    prompt_line: str = ""
    reason: str = ""
    request_json: Any = None
    response_json: Any = None
    plan_json: Mapping[str, Any] | None = None
    inputs_json: dict[str, Any] | None = None
    decision_trace_json: list[Any] = field(default_factory=list)
    cache_json: Mapping[str, Any] | None = None
    scheduler_json: Mapping[str, Any] | None = None
    attempts_json: list[dict[str, Any]] = field(default_factory=list)
    spans_json: list[dict[str, Any]] = field(default_factory=list)

    def since_start(self, now: float) -> float:
        """Milliseconds, as spans and attempts want them."""
        return (now - self.started_monotonic) * 1000

    def span(
        self,
        name: str,
        kind: SpanKind,
        start_ms: float,
        duration_ms: float,
        parent: int | None = None,
        **attributes: Any,
    ) -> int:
        """Add a step to the timeline; the id that comes back is a later span's ``parent``."""
        number = len(self.spans_json) + 1
        self.spans_json.append(
            {
                "id": number,
                "parent": parent,
                "name": name,
                "kind": kind,
                "start_ms": round(start_ms, 3),
                "duration_ms": round(duration_ms, 3),
                "attributes": attributes,
            }
        )
        return number

    def step(self, step: str, subject: str, outcome: str, why: str) -> None:
        """Add a line to the decision trace. ``why`` is a plain sentence, and never quotes the prompt."""
        self.decision_trace_json.append({"step": step, "subject": subject, "outcome": outcome, "why": why})

    def record(self, *, now: float) -> dict[str, Any]:
        """What is written: every column by its name, ``started_at`` as epoch seconds, and ``tenant`` and ``schema``."""
        latency = self.latency_ms if self.latency_ms is not None else round(self.since_start(now), 3)
        overhead = self.overhead_ms
        if overhead is None:
            overhead = round(max(0.0, latency - (self.backend_latency_ms or 0) - (self.queue_wait_ms or 0)), 3)
        record = {name: getattr(self, name) for name in RECORDED}
        record["latency_ms"] = latency
        record["overhead_ms"] = overhead
        if not self.keep_content:
            record.update(_without_content(self))
        return record


RECORDED = tuple(name for name in TraceDraft.__dataclass_fields__ if name not in ("started_monotonic", "keep_content"))


def _without_content(draft: TraceDraft) -> dict[str, Any]:
    """A provider's error may quote the prompt, and so may what is said of it or a cache's reason to refuse: all go."""
    cache = draft.cache_json
    return {
        "prompt_line": "",
        "reason": draft.error_code or draft.reason,
        "request_json": None,
        "response_json": None,
        "cache_json": None if cache is None else {**cache, "question": None, "refused_because": None},
        "attempts_json": [{**attempt, "error": None} for attempt in draft.attempts_json],
    }
