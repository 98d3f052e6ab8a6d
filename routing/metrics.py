"""What Prometheus counts of requests, once each, when they end.

Label values are names out of the configuration or words of Relay's own, never a client's: a route that is not there is
“other”, and the tenant of a key that nobody has is empty. ``deployment`` is “none” where nobody was asked, and
``provider`` “cache” where an earlier answer was given.
Times are in seconds and, but for the queue's, of answers only: a refusal in a millisecond would make everything look
fast. Tenants are on counters only, as a histogram would be a dozen series for each.
"""

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Histogram

from routing.series import OTHER, Series
from traces.draft import TraceDraft

NONE, CACHE = "none", "cache"
ANSWERED = ("ok", "fell_back", "cached")
MILLION = 1_000_000
SERVED = ["provider", "deployment", "model"]

REQUESTS = Series(
    Counter(
        "relay_requests",
        "Requests by who asked, who answered and how they ended.",
        ["tenant", "route", *SERVED, "endpoint", "status", "outcome"],
    ),
    4_000,
)
ROUTED = Series(
    Counter("relay_route_requests", "Requests by the route that they asked for.", ["route", "deployment", "outcome"]),
    2_000,
)
ATTEMPTS = Series(
    Counter("relay_attempts", "Calls of providers; kind is first, retry or hedge.", [*SERVED, "kind", "outcome"]), 1_000
)
ADMISSIONS = Series(
    Counter("relay_admissions", "Granted, degraded or refused by the lanes.", ["deployment", "lane", "decision"]), 1_000
)
TOKENS = Series(
    Counter("relay_tokens", "Tokens that providers read (in) and wrote (out).", ["tenant", *SERVED, "direction"]), 2_000
)
COST = Series(Counter("relay_cost_dollars", "What providers were paid, by list price.", ["tenant", *SERVED]), 1_000)
CACHED = Series(
    Counter("relay_cache_requests", "Requests by what the caches said: a hit's kind, miss or off.", ["model", "cache"]),
    500,
)
SAVED = Series(
    Counter("relay_cache_saved_dollars", "What answers out of a cache did cost first.", ["tenant", "cache"]), 1_000
)
LATENCY = Series(
    Histogram(
        "relay_request_seconds",
        "From a request to the end of its answer.",
        ["route", *SERVED],
        buckets=(0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120),
    ),
    200,
)
TTFT = Series(
    Histogram(
        "relay_time_to_first_token_seconds",
        "From a request to the first content of its stream, the queue included.",
        ["route", *SERVED],
        buckets=(0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30),
    ),
    200,
)
ITL = Series(
    Histogram(
        "relay_inter_token_seconds",
        "Mean gap between the tokens of one stream.",
        SERVED,
        buckets=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 1),
    ),
    100,
)
QUEUE = Series(
    Histogram(
        "relay_queue_wait_seconds",
        "Wait for a slot, of all requests that came to a lane.",
        ["deployment", "lane"],
        buckets=(0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60),
    ),
    200,
)
OVERHEAD = Series(
    Histogram(
        "relay_overhead_seconds",
        "An answer's time that was neither the provider's nor the queue's.",
        ["endpoint"],
        buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5),
    ),
    10,
)


def count(route: str, draft: TraceDraft, record: Mapping[str, Any]) -> None:
    """``route`` is “name”, of a tenant's own “tenant/name”, and empty where none was found; ``record`` the draft's.

    All of it is dictionary look-ups and additions: it runs before every answer's last byte.
    """
    ROUTED.of(route, draft.deployment, draft.outcome).inc()
    named, hit = route or OTHER, draft.outcome == "cached"
    served = (CACHE if hit else draft.provider or NONE, draft.deployment or NONE, draft.model or NONE)
    REQUESTS.of(draft.tenant, named, *served, draft.endpoint, str(draft.status), draft.outcome).inc()
    CACHED.of(served[2], draft.cache).inc()
    if hit:
        SAVED.of(draft.tenant, draft.cache).inc(draft.saved_microusd / MILLION)
    elif draft.attempts_json:
        _count_calls(draft, served)
    if draft.scheduler_json is not None:
        _count_admissions(draft)
    if draft.outcome in ANSWERED:
        LATENCY.of(named, *served).observe(record["latency_ms"] / 1000)
        OVERHEAD.of(draft.endpoint).observe(record["overhead_ms"] / 1000)
        if draft.ttft_ms is not None:
            TTFT.of(named, *served).observe(draft.ttft_ms / 1000)
            gaps = (draft.tokens_out or 0) - 1
            if gaps > 0:
                ITL.of(*served).observe((record["latency_ms"] - draft.ttft_ms) / gaps / 1000)


def count_refusal(endpoint: str, status: int) -> None:
    """A request that was let in nowhere: its key is not known or may not do this, so it has no tenant and no trace."""
    REQUESTS.of("", OTHER, NONE, NONE, NONE, endpoint, str(status), "rejected").inc()


def _count_calls(draft: TraceDraft, served: tuple[str, str, str]) -> None:
    for attempt in draft.attempts_json:
        kind = "hedge" if attempt["hedge"] else "first" if attempt["number"] == 1 else "retry"
        asked = (attempt["provider"], attempt["deployment"], attempt["model"])
        ATTEMPTS.of(*asked, kind, attempt["outcome"]).inc()
    TOKENS.of(draft.tenant, *served, "in").inc(draft.tokens_in or 0)
    TOKENS.of(draft.tenant, *served, "out").inc(draft.tokens_out or 0)
    COST.of(draft.tenant, *served).inc(draft.cost_microusd / MILLION)


def _count_admissions(draft: TraceDraft) -> None:
    """The decision trace names every lane that was asked, ``scheduler_json`` the last only."""
    for step in draft.decision_trace_json:
        if step["step"] == "admission":
            ADMISSIONS.of(step["subject"], draft.lane, step["outcome"]).inc()
    QUEUE.of(draft.deployment or NONE, draft.lane).observe((draft.queue_wait_ms or 0.0) / 1000)
