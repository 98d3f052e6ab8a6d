"""Traces for tests, made as the pipeline makes them."""

import os
import time
from typing import Any

from traces.core.ids import uuid7
from traces.draft import TraceDraft


def draft_of(tenant: Any, **columns: Any) -> TraceDraft:
    now = time.time()
    draft = TraceDraft(
        id=uuid7(now, os.urandom(10)),
        tenant=tenant.slug,
        schema=tenant.schema_name,
        started_at=now,
        started_monotonic=100.0,
        request_id="req-1",
        outcome="ok",
        status=200,
        api_key="web",
        route="local-ollama",
    )
    for name, value in columns.items():
        setattr(draft, name, value)
    return draft


def record_of(tenant: Any, **columns: Any) -> dict[str, Any]:
    return draft_of(tenant, **columns).record(now=100.25)
