"""What every reply says of its own making, in its headers."""

from routing.exchange import Exchange
from routing.seen import WHY
from tenants.core.spend import as_duration, nearest


def headers_of(exchange: Exchange, clock: float) -> dict[str, str]:
    """What every reply says of its own making."""
    draft = exchange.draft
    asked = [item["duration_ms"] for item in draft.attempts_json if item["outcome"] != "cancelled"]
    waited = (draft.queue_wait_ms or 0.0) + sum(asked)
    if exchange.attempt_started is not None:
        waited += (clock - exchange.attempt_started) * 1000
    headers = {
        "x-request-id": exchange.request.request_id,
        "x-relay-trace-id": draft.id,
        "x-relay-cache": draft.cache if draft.cache in WHY else "miss",
        "x-relay-overhead-ms": f"{max(0.0, draft.since_start(clock) - waited):.1f}",
    }
    if exchange.plan is not None:
        headers["x-relay-policy"] = f"{exchange.plan.policy}@{exchange.plan.policy_version}"
        headers["x-relay-lane"] = exchange.plan.lane
        headers["x-relay-queue-ms"] = f"{draft.queue_wait_ms or 0.0:.1f}"
    if draft.model:
        headers["x-relay-model"] = draft.model
        headers["x-relay-provider"] = draft.provider or "cache"
    for metric in ("requests", "tokens"):
        item = nearest(exchange.left, metric)
        if item is not None:
            headers[f"x-ratelimit-limit-{metric}"] = str(item.limit.limit)
            headers[f"x-ratelimit-remaining-{metric}"] = str(max(0, item.limit.limit - item.used))
            headers[f"x-ratelimit-reset-{metric}"] = as_duration(item.resets_in_s)
    passed = [item.said for item in exchange.left if not item.limit.hard and item.used > item.limit.limit]
    if passed:
        headers["x-relay-quota-warning"] = "; ".join(passed)
    return headers
