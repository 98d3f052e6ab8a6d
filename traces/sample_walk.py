"""One made-up request, told step by step in the shapes in which the pipeline records a real one."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from traces.draft import TraceDraft
from traces.sample_texts import Text

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Server:
    """A deployment. Prices are micro-dollars per million tokens; speeds are typical values."""

    deployment: str
    provider: str
    model: str
    ttft_ms: float
    token_ms: float
    price_in: int = 0
    price_out: int = 0

    def cost(self, tokens_in: int, tokens_out: int) -> int:
        return -(-(tokens_in * self.price_in + tokens_out * self.price_out) // MICRO)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the demo's policy makes of a bucket."""

    rule: str | None
    tier: str
    lane: str
    profile: str
    params: dict[str, float]
    max_tokens: int


POLICY = "demo"
SHAPES = {
    "short": Shape("short-questions", "fast", "short", "precise", {"temperature": 0.2, "top_p": 0.9}, 96),
    "medium": Shape("medium-questions", "standard", "short", "balanced", {"temperature": 0.7}, 192),
    "long": Shape(None, "standard", "long", "balanced", {"temperature": 0.7}, 384),
}


@dataclass(slots=True)
class Walk:
    """``clock`` is milliseconds since the request came in."""

    draft: TraceDraft
    chance: Random
    text: Text
    servers: tuple[Server, ...]
    clock: float = 0.0
    tokens_in: int = 0
    tries: int = field(default=0)

    @property
    def shape(self) -> Shape:
        return SHAPES[self.text.bucket]

    def ask(self, question: str) -> None:
        draft = self.draft
        messages = [{"role": "user", "content": question}]
        draft.request_json = {"model": draft.route, "messages": messages} | ({"stream": True} if draft.stream else {})
        draft.prompt_line = " ".join(question[:400].split())[:200]
        self.tokens_in = len(question) // 4 + 5

    def plan(self) -> None:
        draft, shape, bucket = self.draft, self.shape, self.text.bucket
        draft.policy, draft.policy_version, draft.bucket, draft.lane = POLICY, 1, bucket, shape.lane
        draft.strategy = "ordered"
        candidates = [
            {
                "deployment": server.deployment,
                "provider": server.provider,
                "model": server.model,
                "position": position,
                "verdict": "next" if position > 1 else "first",
                "why": "Tried if those before it fail." if position > 1 else "First in order that can serve it.",
                "est_cost_microusd": server.cost(self.tokens_in, shape.max_tokens),
            }
            for position, server in enumerate(self.servers, 1)
        ]
        cache = {"exact": True, "semantic": bucket == "short", "threshold": 0.92, "ttl_s": 3600, "scope": "tenant"}
        draft.plan_json = {
            "bucket": bucket,
            "tier": shape.tier,
            "lane": shape.lane,
            "profile": shape.profile,
            "params": shape.params,
            "max_tokens": shape.max_tokens,
            "cache": cache,
            "strategy": "ordered",
            "attempts": [server.deployment for server in self.servers],
            "candidates": candidates,
            "policy": POLICY,
            "policy_version": 1,
            "rule": shape.rule,
            "signature": f"{bucket}-{draft.route}".encode().hex()[:24],
            "features": {
                "model": draft.route,
                "key": draft.api_key,
                "input_tokens": self.tokens_in,
                "output_tokens": None,
                "metadata": {},
            },
        }
        self._reasons(candidates)
        draft.reason = f"Rule {shape.rule}" if shape.rule else "Policy defaults"
        self.span("Choose route", "decision", 0.1 + self.chance.random() * 0.2, policy=f"{POLICY} v1")

    def _reasons(self, candidates: list[dict[str, Any]]) -> None:
        draft, shape, bucket = self.draft, self.shape, self.text.bucket
        draft.step("bucket", bucket, "chosen", f"About {self.tokens_in:,} tokens in, 256 out.")
        for name in ("short", "medium"):
            rule = SHAPES[name].rule or ""
            if rule == shape.rule:
                draft.step("rule", rule, "matched", "Everything under “when” holds; it is the first that does.")
                break
            draft.step("rule", rule, "passed over", f"Bucket is {bucket}, not {name}.")
        else:
            draft.step("rule", "defaults", "matched", "No rule matched, so the policy's defaults apply.")
        said = ", ".join(f"{name} {value:g}" for name, value in shape.params.items())
        draft.step("decoding", shape.profile, "applied", f"Sets {said}.")
        for one in candidates:
            draft.step("candidate", one["deployment"], one["verdict"], one["why"])

    def look_up(self, *, semantic: bool) -> None:
        """Both caches miss, or only the exact one if ``semantic`` is about to hit."""
        draft = self.draft
        why = "This request was not answered before."
        draft.cache, draft.cache_json = "miss", {"exact": "miss", "semantic": "off", "why": why}
        draft.step("cache", "exact", "miss", why)
        self.span("Look up exact cache", "cache", 0.3 + self.chance.random() * 0.4, outcome="miss")
        if self.text.bucket == "short" and not semantic:
            self.look_up_semantic("miss", round(self.chance.uniform(0.1, 0.6), 3))
            draft.step("cache", "semantic", "miss", "Nothing alike is stored in this scope.")

    def look_up_semantic(self, outcome: str, similarity: float) -> None:
        found = {"semantic": outcome, "similarity": similarity, "threshold": 0.92, "refused_because": None}
        self.draft.cache_json = {**(self.draft.cache_json or {}), **found}
        self.span("Look up semantic cache", "cache", 5 + self.chance.random() * 4, outcome=outcome)

    def wait(self, waited_ms: float, depth: int) -> None:
        draft, pool = self.draft, self.servers[0].deployment
        reason = f"Waited {waited_ms:.0f} ms, {depth} in the queue before it." if depth else "A slot was free."
        self._scheduled(waited_ms, depth, "granted", "worker" if depth else "in-process", reason)
        if depth:
            self.span(f"Wait in {draft.lane} lane", "waiting", waited_ms, pool=pool)
        draft.step("admission", pool, "granted", reason)

    def turn_away(self) -> None:
        draft, pool = self.draft, self.servers[0].deployment
        reason = f"The {draft.lane} lane's queue for {pool} is full."
        self._scheduled(0.0, 64, "refused", "worker", reason)
        draft.step("admission", pool, "refused", reason)
        self.refuse(429, "rate_limit_error", "lane_full", f"{reason} Try again in 2 s.")

    def _scheduled(self, waited_ms: float, depth: int, decision: str, decided_by: str, reason: str) -> None:
        self.draft.queue_wait_ms = round(waited_ms, 3)
        self.draft.scheduler_json = {
            "lane": self.draft.lane,
            "pool": self.servers[0].deployment,
            "queue_wait_ms": round(waited_ms, 3),
            "max_tokens_before": self.shape.max_tokens,
            "decision": decision,
            "decided_by": decided_by,
            "predicted_wait_ms": None if decision == "refused" else round(waited_ms * self.chance.uniform(0.8, 1.2), 3),
            "queue_depth": depth,
            "max_tokens_after": None if decision == "refused" else self.shape.max_tokens,
            "reason": reason,
        }

    def fail(self, server: Server) -> None:
        code, said, took = self.chance.choice(
            [
                ("upstream_unreachable", "Connection refused.", 3.0),
                ("upstream_timeout", "No first token within 30 s.", 30_000.0),
                ("upstream_error", "The provider answered 500.", 180.0),
            ]
        )
        status = 500 if code == "upstream_error" else None
        self._attempt(server, "failed", took, status=status, code=code, error=said)

    def answer(self, server: Server, *, share: float = 1.0) -> None:
        """The attempt that answers; ``share`` < 1: the client leaves before the end."""
        draft, text = self.draft, self.text.answer
        text = text if share == 1 else text[: int(len(text) * share)]
        draft.tokens_in, draft.tokens_out = self.tokens_in, len(text) // 4 + 1
        first = server.ttft_ms * self.chance.lognormvariate(0, 0.35) + self.tokens_in * server.token_ms / 20
        took = first + draft.tokens_out * server.token_ms * self.chance.lognormvariate(0, 0.2)
        began = self.clock
        parent = self._attempt(
            server, "answered" if share == 1 else "cancelled", took, status=200 if share == 1 else None
        )
        if draft.stream:
            draft.ttft_ms = round(began + first, 3)
            draft.span("First token", "stream", began, first, parent)
            draft.span("Stream", "stream", began + first, took - first, parent)
        draft.backend_latency_ms = round(took, 3)
        draft.usage_source = "provider" if share == 1 else "estimated"
        draft.cost_microusd = server.cost(draft.tokens_in, draft.tokens_out)
        draft.response_json = completion(draft, text, "stop" if share == 1 else None)

    def _attempt(self, server: Server, outcome: str, took: float, **facts: Any) -> int:
        draft = self.draft
        self.tries += 1
        draft.provider, draft.deployment, draft.model = server.provider, server.deployment, server.model
        draft.attempts_json.append(
            {
                "number": self.tries,
                "deployment": server.deployment,
                "provider": server.provider,
                "model": server.model,
                "outcome": outcome,
                "status": facts["status"],
                "code": facts.get("code"),
                "error": facts.get("error"),
                "start_ms": round(self.clock, 3),
                "duration_ms": round(took, 3),
            }
        )
        why = {"answered": "Answered.", "cancelled": "The client went away."}.get(
            outcome, f"Failed: {facts.get('code')}."
        )
        draft.step("attempt", server.deployment, outcome, why)
        name = f"Attempt {self.tries}: {server.deployment}"
        return self.span(name, "upstream", took, outcome=outcome, code=facts.get("code"))

    def refuse(self, status: int, kind: str, code: str, message: str) -> None:
        draft = self.draft
        draft.status, draft.error_code, draft.reason = status, code, message
        draft.outcome = "limited" if status == 429 else "rejected" if status < 500 else "failed"
        draft.response_json = {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def span(self, name: str, kind: Any, took: float, **attributes: Any) -> int:
        number = self.draft.span(name, kind, self.clock, took, **attributes)
        self.clock += took
        return number


def completion(draft: TraceDraft, text: str, finish: str | None) -> dict[str, Any]:
    tokens_in, tokens_out = draft.tokens_in or 0, draft.tokens_out or 0
    return {
        "id": f"chatcmpl-{draft.id[-12:]}",
        "object": "chat.completion",
        "created": int(draft.started_at),
        "model": draft.model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out},
    }
