"""One request on its way: what the pipeline knows of it so far, and how each fact enters its trace.

Every ``started`` and ``clock`` here is the same monotonic clock in seconds; ``now`` is epoch seconds.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from caching.claims import Claim
from caching.exact import Stored
from caching.semantic import Lookup
from routing import answers
from routing.core.plan import Candidate, ExecutionPlan, cost_microusd
from routing.core.request import ChatRequest
from routing.errors import ErrorReply
from routing.kinds import KINDS, Chat
from routing.providers.base import ProviderError
from routing.snapshot import RouteEntry
from scheduling.client import Grant, QueueFull
from tenants.auth import Caller
from tenants.ledger import Hold, Left, Spend, nearest
from traces.draft import TraceDraft

SEEN_BEFORE = {
    "exact": "The same request was answered before",
    "semantic": "A question alike was answered before",
    "replay": "The first request with this Idempotency-Key was answered",
}
CLIENT_CLOSED_REQUEST = 499  # as nginx logs it
ONE_REQUEST = Spend(1, 0, 0)


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of the reply, known when its first content is."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SemanticQuestion:
    """What was looked up, kept so that the answer can be stored under it."""

    scope: bytes
    text: str
    vector: Any  # numpy (384,) float32


@dataclass(slots=True)
class Exchange:
    caller: Caller
    request: ChatRequest
    draft: TraceDraft
    plan: ExecutionPlan | None = None
    hold: Hold | None = None
    left: tuple[Left, ...] = ()
    spent: Spend = ONE_REQUEST
    max_tokens: int = 0
    served: Candidate | None = None
    tries: int = 0
    attempt_started: float | None = None
    events: list[bytes] = field(default_factory=list)
    kept_bytes: int = 0
    exact_key: str = ""
    claim: Claim | None = None  # on the request's Idempotency-Key
    renewal: asyncio.Task[None] | None = None
    question: SemanticQuestion | None = None
    storable: dict[str, Any] | None = None  # a complete answer
    finished: bool = False
    route: str = ""  # the one that serves it, as metrics name it

    @property
    def kind(self) -> Chat:
        return KINDS[self.request.kind]

    @property
    def the_plan(self) -> ExecutionPlan:
        assert self.plan is not None, "asked before planned()"
        return self.plan

    # --- decided -------------------------------------------------------------------------------------------------

    def routed(self, entry: RouteEntry) -> None:
        """The trace names the route; what the client called “model” on a path stays in its request."""
        self.route = entry.target if entry.tenant_id is None else f"{self.caller.tenant}/{entry.target}"
        self.draft.route = entry.name
        if self.request.path:
            self.draft.step("route", entry.name, "chosen", f"It is the one at /v1/{self.request.path}/.")
        if entry.target != entry.name:
            self.draft.step("route", entry.target, "chosen", f"“{entry.name}” is another name for it.")

    def planned(self, plan: ExecutionPlan, started: float, clock: float) -> None:
        self.plan, self.max_tokens = plan, plan.max_tokens
        draft = self.draft
        draft.policy, draft.policy_version = plan.policy, plan.policy_version
        draft.bucket, draft.lane = plan.bucket, plan.lane
        draft.plan_json = plan.as_json()
        draft.decision_trace_json += [
            {"step": one.step, "subject": one.subject, "outcome": one.outcome, "why": one.why} for one in plan.reasons
        ]
        draft.reason = f"Rule {plan.rule}" if plan.rule else "Policy defaults"
        self._span("Choose route", "decision", started, clock, policy=f"{plan.policy} v{plan.policy_version}")

    def held(self, hold: Hold, left: tuple[Left, ...]) -> None:
        self.hold, self.left = hold, left
        for item in left:
            if item.used > item.limit.limit:
                said = f"{item.used:,} of {item.limit.limit:,} {item.limit.metric} a {item.limit.window}"
                self.draft.step("quota", item.limit.metric, "over", f"{said}: a soft quota only warns.")

    # --- seen before? --------------------------------------------------------------------------------------------

    def exact_missed(self, outcome: str, why: str, started: float, clock: float) -> None:
        self.draft.cache = outcome
        self.draft.cache_json = {"exact": outcome, "semantic": "off", "why": why}
        self.draft.step("cache", "exact", outcome, why)
        if outcome == "miss":
            self._span("Look up exact cache", "cache", started, clock, outcome=outcome)

    def semantic_skipped(self, why: str) -> None:
        self.draft.cache_json = {**(self.draft.cache_json or {}), "semantic": "skipped", "why": why}
        self.draft.step("cache", "semantic", "skipped", why)

    def semantic_found(self, found: Lookup, started: float, clock: float) -> None:
        """What the lookup saw, hit or not."""
        entry = found.entry
        self.draft.cache = "miss"
        self.draft.cache_json = {
            **(self.draft.cache_json or {}),
            "semantic": found.outcome,
            "similarity": found.similarity,
            "threshold": found.threshold,
            "refused_because": found.refused_because,
            "question": entry.question if entry else None,
            "entry_id": str(entry.id) if entry else None,
            "source_trace": str(entry.source_trace) if entry else None,
            "expires_at": entry.expires_at if entry else None,
        }
        self._span("Look up semantic cache", "cache", started, clock, outcome=found.outcome)
        if found.outcome == "near":
            needed = f"The closest question is {found.similarity or 0:.3f} alike; {found.threshold:g} is needed."
            # The guard's reason may quote the prompt, so it stays in cache_json, which is redacted where it must be.
            self.draft.step("cache", "semantic", "near", "The guard refused it." if found.refused_because else needed)
        elif found.outcome == "miss":
            self.draft.step("cache", "semantic", "miss", "Nothing alike is stored in this scope.")

    def cached(self, kind: str, stored: Stored, *, started: float, clock: float, now: float) -> None:
        """A hit: where the answer came from. No provider was called, so ``backend_latency_ms`` stays null."""
        draft = self.draft
        draft.outcome, draft.status, draft.cache = "cached", 200, kind
        draft.model, draft.deployment = stored.model, stored.deployment
        draft.tokens_in, draft.tokens_out, draft.usage_source = stored.tokens_in, stored.tokens_out, "cache"
        draft.saved_microusd = stored.cost_microusd
        draft.response_json = self.kind.recorded_hit(stored.answer)
        why = SEEN_BEFORE[kind]
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
            self._span("Look up exact cache", "cache", started, clock, outcome="hit")
        elif kind == "replay":
            self._span("Wait for the first answer", "waiting", started, clock)

    # --- asked ---------------------------------------------------------------------------------------------------

    def admitted(self, candidate: Candidate, grant: Grant, started: float) -> None:
        self.max_tokens = grant.max_tokens or self.the_plan.max_tokens
        self._scheduled(
            candidate,
            grant.queue_wait_ms,
            decision=grant.decision,
            decided_by=grant.decided_by,
            predicted_wait_ms=round(grant.predicted_wait_ms, 3),
            queue_depth=grant.queue_depth,
            max_tokens_after=self.max_tokens,
            reason=grant.reason,
        )
        if grant.queue_wait_ms >= 1:
            name = f"Wait in {self.draft.lane} lane"
            self._span(name, "waiting", started, started + grant.queue_wait_ms / 1000, pool=candidate.deployment)
        self.draft.step("admission", candidate.deployment, grant.decision, grant.reason)

    def turned_away(self, candidate: Candidate, error: QueueFull, started: float, clock: float) -> None:
        self._scheduled(
            candidate,
            (clock - started) * 1000,
            decision="refused",
            decided_by=error.decided_by,
            predicted_wait_ms=None,
            queue_depth=error.queue_depth,
            max_tokens_after=None,
            reason=error.reason,
        )
        self.draft.step("admission", candidate.deployment, "refused", error.reason)

    def _scheduled(self, candidate: Candidate, waited_ms: float, **facts: Any) -> None:
        plan = self.the_plan
        self.draft.queue_wait_ms = round((self.draft.queue_wait_ms or 0.0) + waited_ms, 3)
        common = {"lane": plan.lane, "pool": candidate.deployment, "queue_wait_ms": round(waited_ms, 3)}
        self.draft.scheduler_json = {**common, "max_tokens_before": plan.max_tokens, **facts}

    def attempting(self, candidate: Candidate, started: float) -> None:
        self.served, self.attempt_started = candidate, started
        draft = self.draft
        draft.provider, draft.deployment, draft.model = candidate.provider, candidate.deployment, candidate.model

    def attempted(
        self,
        candidate: Candidate,
        started: float,
        clock: float,
        *,
        error: ProviderError | None = None,
        cancelled: bool = False,
    ) -> None:
        self.tries += 1
        draft = self.draft
        outcome = "cancelled" if cancelled else "failed" if error else "answered"
        why = "The client went away." if cancelled else str(error) if error else "Answered."
        start_ms, duration_ms = draft.since_start(started), round((clock - started) * 1000, 3)
        draft.attempts_json.append(
            {
                "number": self.tries,
                "deployment": candidate.deployment,
                "provider": candidate.provider,
                "model": candidate.model,
                "outcome": outcome,
                "status": error.status if error else None if cancelled else 200,
                "code": error.code if error else None,
                "error": str(error) if error else None,
                "start_ms": round(start_ms, 3),
                "duration_ms": duration_ms,
            }
        )
        name = f"Attempt {self.tries}: {candidate.deployment}"
        parent = self._span(name, "upstream", started, clock, outcome=outcome, code=error.code if error else None)
        draft.step("attempt", candidate.deployment, outcome, why if error is None else f"Failed: {error.code}.")
        self.attempt_started = None
        if outcome != "failed" or self.events:
            draft.backend_latency_ms = duration_ms
        if draft.ttft_ms is not None:
            first = draft.ttft_ms - start_ms
            draft.span("First token", "stream", start_ms, first, parent)
            draft.span("Stream", "stream", draft.ttft_ms, duration_ms - first, parent)

    # --- answered ------------------------------------------------------------------------------------------------

    def first_content(self, clock: float) -> None:
        self.draft.ttft_ms = round(self.draft.since_start(clock), 3)

    def keep(self, events: list[bytes]) -> None:
        """For the trace, the bill and the cache; beyond 8 MiB the rest passes by (and is not cached)."""
        self.kept_bytes += sum(map(len, events))
        if self.kept_bytes <= answers.MAX_KEPT_BYTES or not self.events:
            self.events += events

    def answered(self, answer: dict[str, Any]) -> None:
        whole = self.kept_bytes <= answers.MAX_KEPT_BYTES
        self._bill(answer, "fell_back" if self.tries > 1 else "ok", 200)
        if self.tries > 1:
            self.draft.reason = f"{self.draft.attempts_json[0]['deployment']} failed, the next candidate answered"
        if whole and self.kind.is_complete(answer):
            self.storable = answer

    @property
    def cacheable(self) -> bool:
        """Whether others may get this answer. Not one from outside the request's arm of a split: later requests of the
        arm would be served by another's."""
        arm = self.the_plan.arm
        on_its_arm = not arm or (self.served is not None and self.served.deployment == arm)
        return on_its_arm and self.request.cache.store

    def broke_off(self, error: ProviderError) -> None:
        """The stream died after content: what came is billed, nothing is stored."""
        self._bill(answers.assemble(self.events), "failed", 200)
        self.draft.error_code, self.draft.reason = error.code, f"The stream broke off: {error}"[:300]

    def left_by_client(self) -> None:
        self.draft.outcome, self.draft.status = "cancelled", CLIENT_CLOSED_REQUEST
        self.draft.reason = "The client went away"
        if self.events:
            self._bill(answers.assemble(self.events), "cancelled", CLIENT_CLOSED_REQUEST)

    def refused(self, reply: ErrorReply) -> None:
        draft = self.draft
        draft.status, draft.error_code = reply.status, reply.code or reply.type
        draft.outcome = "limited" if reply.status == 429 else "rejected" if reply.status < 500 else "failed"
        draft.reason, draft.response_json = reply.message[:300], reply.body

    def _bill(self, answer: dict[str, Any], outcome: str, status: int) -> None:
        draft, plan = self.draft, self.the_plan
        usage = self.kind.usage(answer, plan.features.input_tokens)
        draft.outcome, draft.status, draft.response_json = outcome, status, self.kind.recorded(answer)
        draft.tokens_in, draft.tokens_out, draft.usage_source = usage.tokens_in, usage.tokens_out, usage.source
        if self.served is not None:
            draft.cost_microusd = cost_microusd(self.served, usage.tokens_in, usage.tokens_out)
        self.spent = Spend(1, usage.tokens_in + usage.tokens_out, draft.cost_microusd)

    # --- for later -----------------------------------------------------------------------------------------------

    def to_store(self, raw: bytes, now: float) -> Stored | None:
        """What is kept of this answer for later; None if it is not complete."""
        draft = self.draft
        if self.storable is None:
            return None
        return Stored(
            answer=raw,
            trace_id=draft.id,
            policy=draft.policy,
            policy_version=draft.policy_version,
            deployment=draft.deployment,
            model=draft.model,
            created_at=now,
            tokens_in=draft.tokens_in or 0,
            tokens_out=draft.tokens_out or 0,
            cost_microusd=draft.cost_microusd,
        )

    @property
    def named(self) -> dict[str, str]:
        """What every log line about this request carries."""
        return {"request_id": self.request.request_id, "trace_id": self.draft.id, "tenant": self.caller.tenant}

    def headers(self, clock: float) -> dict[str, str]:
        """What every reply says of its own making."""
        draft = self.draft
        waited = (draft.queue_wait_ms or 0.0) + sum(item["duration_ms"] for item in draft.attempts_json)
        if self.attempt_started is not None:
            waited += (clock - self.attempt_started) * 1000
        headers = {
            "x-request-id": self.request.request_id,
            "x-relay-trace-id": draft.id,
            "x-relay-cache": draft.cache if draft.cache in SEEN_BEFORE else "miss",
            "x-relay-overhead-ms": f"{max(0.0, draft.since_start(clock) - waited):.1f}",
        }
        if self.plan is not None:
            headers["x-relay-policy"] = f"{self.plan.policy}@{self.plan.policy_version}"
            headers["x-relay-lane"] = self.plan.lane
            headers["x-relay-queue-ms"] = f"{draft.queue_wait_ms or 0.0:.1f}"
        if draft.model:
            headers["x-relay-model"] = draft.model
            headers["x-relay-provider"] = draft.provider or "cache"
        for metric in ("requests", "tokens"):
            item = nearest(self.left, metric)
            if item is not None:
                headers[f"x-ratelimit-limit-{metric}"] = str(item.limit.limit)
                headers[f"x-ratelimit-remaining-{metric}"] = str(max(0, item.limit.limit - item.used))
                headers[f"x-ratelimit-reset-{metric}"] = f"{item.resets_in_s}s"
        return headers

    def _span(self, name: str, kind: Any, started: float, clock: float, **detail: Any) -> int:
        draft = self.draft
        return draft.span(name, kind, draft.since_start(started), (clock - started) * 1000, **detail)
