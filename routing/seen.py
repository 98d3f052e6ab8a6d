"""Seen before? What the caches said of a request, and how it enters the trace. Times as in ``exchange.py``."""

from caching.exact import Stored
from caching.semantic import Lookup
from routing.exchange import Exchange

WHY = {
    "exact": "The same request was answered before",
    "semantic": "A question alike was answered before",
    "replay": "The first request with this Idempotency-Key was answered",
}


def exact_missed(exchange: Exchange, outcome: str, why: str, started: float, clock: float) -> None:
    exchange.draft.cache = outcome
    exchange.draft.cache_json = {"exact": outcome, "semantic": "off", "why": why}
    exchange.draft.step("cache", "exact", outcome, why)
    if outcome == "miss":
        exchange.span("Look up exact cache", "cache", started, clock, outcome=outcome)


def semantic_skipped(exchange: Exchange, why: str) -> None:
    exchange.draft.cache_json = {**(exchange.draft.cache_json or {}), "semantic": "skipped", "why": why}
    exchange.draft.step("cache", "semantic", "skipped", why)


def semantic_found(exchange: Exchange, found: Lookup, started: float, clock: float) -> None:
    """What the lookup saw, hit or not."""
    entry = found.entry
    exchange.draft.cache = "miss"
    exchange.draft.cache_json = {
        **(exchange.draft.cache_json or {}),
        "semantic": found.outcome,
        "similarity": found.similarity,
        "threshold": found.threshold,
        "refused_because": found.refused_because,
        "question": entry.question if entry else None,
        "entry_id": str(entry.id) if entry else None,
        "source_trace": str(entry.source_trace) if entry else None,
        "expires_at": entry.expires_at if entry else None,
    }
    exchange.span("Look up semantic cache", "cache", started, clock, outcome=found.outcome)
    if found.outcome == "near":
        needed = f"The closest question is {found.similarity or 0:.3f} alike; {found.threshold:g} is needed."
        # The guard's reason may quote the prompt, so it stays in cache_json, which is redacted where it must be.
        exchange.draft.step("cache", "semantic", "near", "The guard refused it." if found.refused_because else needed)
    elif found.outcome == "miss":
        exchange.draft.step("cache", "semantic", "miss", "Nothing alike is stored in this scope.")


def cached(exchange: Exchange, kind: str, stored: Stored, *, started: float, clock: float, now: float) -> None:
    """A hit: where the answer came from. No provider was called, so ``backend_latency_ms`` stays null."""
    draft = exchange.draft
    draft.outcome, draft.status, draft.cache = "cached", 200, kind
    draft.model, draft.deployment = stored.model, stored.deployment
    draft.tokens_in, draft.tokens_out, draft.usage_source = stored.tokens_in, stored.tokens_out, "cache"
    draft.saved_microusd = stored.cost_microusd
    draft.response_json = exchange.kind.recorded_hit(stored.answer)
    why = WHY[kind]
    draft.reason = why
    draft.cache_json = {
        "semantic": "off",
        **(draft.cache_json or {}),
        kind: "hit",
        "why": f"{why}.",
        "source_trace": stored.trace_id,
        "policy": stored.policy,
        "policy_version": stored.policy_version,
        "created_at": stored.created_at,
        "age_s": round(max(0.0, now - stored.created_at), 1),
    }
    draft.step("cache", kind, "hit", f"{why}.")
    if kind == "exact":
        exchange.span("Look up exact cache", "cache", started, clock, outcome="hit")
    elif kind == "replay":
        exchange.span("Wait for the first answer", "waiting", started, clock)
