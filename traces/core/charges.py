"""What a trace charges to a limit: the other half of the ledger, read from what is stored."""

from collections.abc import Mapping
from typing import Any

from tenants.core.limits import Counter

COLUMNS = {"requests": "charged_requests", "tokens": "charged_tokens", "cost": "cost_microusd"}


def charged(record: Mapping[str, Any], counter: Counter) -> int:
    """In the counter's steps; 0 if the trace is not of its caller, deployment or window."""
    limit = counter.limit
    if record.get("sample") or not counter.start <= record.get("started_at", 0) < counter.end:
        return 0
    if limit.deployment:
        return sum(
            int(attempt["charged"][limit.metric])
            for attempt in record.get("attempts_json") or ()
            if attempt.get("deployment") == limit.deployment and "charged" in attempt
            if not attempt.get("own_account")  # a tenant's own account is not bound by the platform's limits
        )
    if limit.tenant != record["tenant"] or limit.api_key not in ("", record.get("key_id")):
        return 0
    return int(record.get(COLUMNS[limit.metric]) or 0)
