"""Traces as the tests need them."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from tenants.models import Tenant
from traces.models import Trace
from traces.rollup import roll_up


def make_trace(tenant: Tenant, *, age: timedelta = timedelta(minutes=5), **columns: Any) -> Trace:
    started: datetime = timezone.now() - age
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "started_at": started,
        "request_id": f"req-{uuid.uuid4().hex[:12]}",
        "outcome": "ok",
        "status": 200,
        "api_key": "web-prod",
        "route": "auto",
        "provider": "local",
        "deployment": "local-llama",
        "model": "llama-3.3-70b",
        "policy": "chat-default",
        "policy_version": 3,
        "bucket": "short",
        "lane": "short",
        "cache": "miss",
        "latency_ms": 420.0,
        "ttft_ms": 90.0,
        "tokens_in": 12,
        "tokens_out": 34,
        "cost_microusd": 1500,
        "prompt_line": "Where is my parcel?",
        "reason": "First in the route's order",
        "request_json": {"model": "auto", "messages": [{"role": "user", "content": "Where is my parcel? It's late."}]},
        "response_json": {"choices": [{"message": {"role": "assistant", "content": "It arrives on Monday."}}]},
        "plan_json": {
            "bucket": "short",
            "rule": "support",
            "candidates": [{"deployment": "local-llama", "verdict": "first", "why": "First.", "est_cost_microusd": 9}],
        },
        "cache_json": {"semantic": "near", "similarity": 0.91, "threshold": 0.95, "question": "Is the parcel lost?"},
        "attempts_json": [
            {"number": 1, "deployment": "local-llama", "outcome": "answered", "status": 200, "duration_ms": 400}
        ],
        "spans_json": [
            {"id": "1", "parent": None, "name": "Request", "kind": "gate", "start_ms": 0, "duration_ms": 420},
            {"id": "2", "parent": "1", "name": "Attempt 1", "kind": "upstream", "start_ms": 9, "duration_ms": 400},
        ],
    }
    with tenant_context(tenant), connection.cursor() as cursor:
        trace = Trace.objects.create(**values | columns)
        at = trace.started_at.timestamp()
        roll_up(cursor, schema=tenant.schema_name, ids=[str(trace.pk)], since=at, until=at)
    return trace
