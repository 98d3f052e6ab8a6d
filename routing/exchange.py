"""One request on its way: what the pipeline knows of it so far, and how each fact enters its trace.

Every ``started`` and ``clock`` here is the same monotonic clock in seconds; ``now`` is epoch seconds.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from caching.claims import Claim
from caching.exact import Stored
from routing import answers
from routing.core.plan import Candidate, ExecutionPlan
from routing.core.recording import Decision, inputs_of
from routing.core.request import ChatRequest
from routing.core.usage import Asked, choices_of, spend_of
from routing.errors import ErrorReply
from routing.kinds import KINDS, Chat
from routing.providers.base import NOT_REACHED, ProviderError
from routing.shadows.arm import ShadowArm
from routing.snapshot import RouteEntry
from scheduling.client import Grant, QueueFull
from tenants.auth import Caller
from tenants.core.spend import Left, Spend
from tenants.holds import Account
from traces.core.trace_context import attempt_header
from traces.draft import SpanKind, TraceDraft

CLIENT_CLOSED_REQUEST = 499  # as nginx logs it

NO_CHARGE = {"requests": 0, "tokens": 0, "cost": 0, "neurons": 0}


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


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An attempt that may still answer: with hedging there are two."""

    started: float
    max_tokens: int
    scheduled: Mapping[str, Any] | None


@dataclass(slots=True)
class Exchange:
    caller: Caller
    request: ChatRequest
    draft: TraceDraft
    account: Account
    exports: bool = False  # traces go to OpenTelemetry
    plan: ExecutionPlan | None = None
    left: tuple[Left, ...] = ()
    reserved: set[str] = field(default_factory=set)  # deployments of whose limits a part is held
    exhausted: dict[str, Left] = field(default_factory=dict)  # deployments without quota left, and their tightest limit
    uncounted: bool = False  # what is left of deployments' limits is not known
    max_tokens: int = 0
    served: Candidate | None = None
    tries: int = 0
    breakers: dict[str, str] = field(default_factory=dict)  # of deployments that were probed: the breaker's state
    under_way: "dict[str, UnderWay] | None" = None  # with hedging only
    rival: str = ""  # asked as well, as the first gave nothing
    winner: str = ""  # of the two
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
    shadow: ShadowArm | None = None  # who may get a copy of it

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

    def deciding(self, given: Decision) -> None:
        """The features are there until the plan holds them: a request may be refused for want of one."""
        self.draft.policy, self.draft.policy_version = given.policy.slug, given.policy.version
        self.draft.inputs_json = {**inputs_of(given), "features": given.features}

    def planned(self, plan: ExecutionPlan, started: float, clock: float) -> None:
        self.plan, self.max_tokens = plan, plan.max_tokens
        draft = self.draft
        draft.bucket, draft.lane = plan.bucket, plan.lane
        draft.strategy, draft.task = plan.strategy, plan.task
        draft.plan_json = plan.as_json()
        if draft.inputs_json is not None:
            draft.inputs_json.pop("features", None)
        draft.decision_trace_json += plan.decision_trace()
        draft.reason = f"Rule {plan.rule}" if plan.rule else "Policy defaults"
        self.span("Choose route", "decision", started, clock, policy=f"{plan.policy} v{plan.policy_version}")

    def passed(self, left: tuple[Left, ...]) -> None:
        """The caller's limits let it through: from here on it counts as one request."""
        self.account.passes()
        self.left = left
        for item in left:
            if item.used > item.limit.limit:
                self.draft.step("quota", item.limit.metric, "over", f"{item.said}: a soft quota only warns.")

    def passed_over(self, candidate: Candidate, why: str) -> None:
        self.draft.step("quota", candidate.deployment, "passed over", why)

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
            self.span(name, "waiting", started, started + grant.queue_wait_ms / 1000, pool=candidate.deployment)
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
        if self.under_way is not None:
            self.under_way[candidate.deployment] = UnderWay(started, self.max_tokens, self.draft.scheduler_json)
        self._serves(candidate, started)

    def told(self, deployment: str) -> dict[str, str]:
        """Headers by which the provider's logs and traces are found from Relay's. Where Relay's own spans go nowhere,
        the client's span is the provider's parent."""
        headers, parent = {"X-Request-ID": self.request.request_id}, self.request.parent
        if self.exports:
            sampled = self.draft.sampled
            headers["traceparent"] = attempt_header(self.draft.id, parent, deployment, sampled=sampled)
        elif parent is not None:
            headers["traceparent"] = parent.header
        if parent is not None and parent.state:
            headers["tracestate"] = parent.state
        return headers

    def probes(self, deployment: str, state: str) -> None:
        self.breakers[deployment] = state
        self.draft.step("breaker", deployment, state, "A pause of its breaker is over: this request is the probe.")

    def hedged(self, slow: Candidate, rival: Candidate) -> None:
        self.rival = rival.deployment
        self.draft.step("hedge", rival.deployment, "asked as well", f"{slow.deployment} is slow; the faster answers.")

    def chosen(self, candidate: Candidate) -> None:
        """Of two that were asked it gave content first."""
        assert self.under_way is not None, "chosen without a race"
        run = self.under_way[candidate.deployment]
        self.winner, self.max_tokens, self.draft.scheduler_json = candidate.deployment, run.max_tokens, run.scheduled
        self._serves(candidate, run.started)

    def _serves(self, candidate: Candidate, started: float) -> None:
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
        start_ms, duration_ms = draft.since_start(started), round((clock - started) * 1000, 3)
        entry = {
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
            "breaker": self.breakers.get(candidate.deployment, "closed"),
            "hedge": candidate.deployment == self.rival,
            "own_account": bool(candidate.account),
        }
        draft.attempts_json.append(entry)
        if error is None or error.code not in NOT_REACHED:
            self._charge(candidate, Spend(requests=1))
        if error is not None and error.seen:
            self._charge(candidate, spend_of(candidate, *answers.reported(error.seen, self._asked)))
        why = f"Failed: {error.code}." if error else "Answered."
        if cancelled:
            why = self._lost(candidate) if self.winner else "The client went away."
        draft.step("attempt", candidate.deployment, outcome, why)
        name = f"Attempt {self.tries}: {candidate.deployment}"
        parent = self.span(name, "upstream", started, clock, outcome=outcome, code=error.code if error else None)
        if self.served is candidate:
            self.attempt_started = None
            if outcome != "failed" or self.events:
                draft.backend_latency_ms = duration_ms
            if draft.ttft_ms is not None:
                self._content_spans(start_ms, duration_ms, parent)

    def _lost(self, candidate: Candidate) -> str:
        """Nobody says what a call cost that was cut off: its input surely was read."""
        if candidate.deployment == self.winner:
            return "The client went away."
        self._charge(candidate, spend_of(candidate, self.the_plan.features.input_tokens, 0))
        return f"{self.winner} gave content first; this call is charged with its input."

    def _content_spans(self, start_ms: float, duration_ms: float, parent: int) -> None:
        ttft_ms = self.draft.ttft_ms or 0.0
        self.draft.span("First token", "stream", start_ms, ttft_ms - start_ms, parent)
        self.draft.span("Stream", "stream", ttft_ms, duration_ms - (ttft_ms - start_ms), parent)

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
        asked = self.draft.attempts_json if self.tries > 1 else ()
        failed = next((one for one in asked if one["outcome"] == "failed" and not one["hedge"]), None)
        self._bill(answer, "fell_back" if failed else "ok", 200)
        if failed:
            self.draft.reason = f"{failed['deployment']} failed, the next candidate answered"
        elif self.rival and self.winner == self.rival:
            self.draft.reason = f"{self.rival} was asked as well and was faster"
        if whole and self.kind.is_complete(answer):
            self.storable = answer

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
        draft, served = self.draft, self.served
        usage = self.kind.usage(answer, self._asked)
        draft.outcome, draft.status, draft.response_json = outcome, status, self.kind.recorded(answer)
        draft.tokens_in, draft.tokens_out, draft.usage_source = usage.tokens_in, usage.tokens_out, usage.source
        if usage.correction:
            draft.step("usage", draft.deployment, "corrected", usage.correction)
        if served is not None:
            draft.price_in_microusd, draft.price_out_microusd = served.price_in, served.price_out
            self._charge(served, spend_of(served, usage.tokens_in, usage.tokens_out))

    @property
    def _asked(self) -> Asked:
        return Asked(self.the_plan.features.input_tokens, self.max_tokens * choices_of(self.request.body))

    def _charge(self, candidate: Candidate, spend: Spend) -> None:
        """Against the limits of its deployment and, but for the request itself, of the caller; the trace says it."""
        self.account.charge(candidate.deployment, spend)
        self.draft.cost_microusd += spend.cost
        attempt = next(one for one in reversed(self.draft.attempts_json) if one["deployment"] == candidate.deployment)
        before = attempt.get("charged", NO_CHARGE)
        attempt["charged"] = {metric: before[metric] + spend.of(metric) for metric in NO_CHARGE}

    # --- for later -----------------------------------------------------------------------------------------------

    @property
    def may_be_cached(self) -> bool:
        """Not what another arm answered: later requests of this arm would be served by that one."""
        arm = self.the_plan.arm
        return self.request.cache.store and (not arm or arm == self.draft.deployment)

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

    def span(self, name: str, kind: SpanKind, started: float, clock: float, **detail: Any) -> int:
        """Add a step to the timeline; its id."""
        draft = self.draft
        return draft.span(name, kind, draft.since_start(started), (clock - started) * 1000, **detail)
