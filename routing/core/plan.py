"""Policy x request x health -> one explicit plan with its reasons. Pure: the same input gives the same plan."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from routing.core.evidence import NOTHING_KNOWN, Evidence
from routing.core.features import Features
from routing.core.policy import CacheRule, Hours, PolicyDocument, Rule, Settings, When, apply
from routing.core.request import InvalidRequest
from tenants.core.limits import Limit

DEFAULT_OUTPUT_TOKENS = 256  # assumed for the bucket when the client leaves its limit open
MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A deployment that a route may use. Prices are micro-dollars per million tokens."""

    deployment: str
    provider: str
    model: str
    context_window: int
    price_in: int = 0
    price_out: int = 0
    capacity: int = 8
    unavailable: str = ""  # why it cannot be used at all (disabled, no credential), else empty
    account: str = ""  # the id of the tenant whose own credential is used; empty: the platform's
    share: int | None = None  # percent of a split
    environments: tuple[str, ...] = ()  # where its provider is preferred; empty: everywhere
    quality: int = 50  # 0 to 100
    strengths: Mapping[str, float] = field(default_factory=dict, hash=False)  # task -> 0 to 1
    typical_latency_ms: int = 1_000
    neurons_in: int = 0  # per million tokens
    neurons_out: int = 0
    limits: tuple[Limit, ...] = ()

    @property
    def circuit(self) -> str:
        """What evidence is kept for: a tenant's own account may fail while the platform's works, and the reverse."""
        return f"{self.deployment}@{self.account}" if self.account else self.deployment


@dataclass(frozen=True, slots=True)
class Reason:
    step: str
    subject: str
    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One candidate: ``first``, ``next`` (after those before it fail) or ``ruled out``."""

    candidate: Candidate
    position: int
    verdict: str
    why: str
    est_cost_microusd: int


@dataclass(frozen=True, slots=True)
class ExecutionPlan:
    bucket: str
    tier: str
    lane: str
    profile: str | None
    params: Mapping[str, float]  # what Relay adds to the client's sampling parameters
    max_tokens: int
    cache: CacheRule
    attempts: tuple[Candidate, ...]
    candidates: tuple[Verdict, ...]
    policy: str
    policy_version: int
    rule: str | None
    signature: str
    reasons: tuple[Reason, ...]
    features: Features

    def as_json(self) -> dict[str, Any]:
        """plan_json of the trace. The reasons go into decision_trace_json."""
        return {
            "bucket": self.bucket,
            "tier": self.tier,
            "lane": self.lane,
            "profile": self.profile,
            "params": self.params,
            "max_tokens": self.max_tokens,
            "cache": self.cache,
            "attempts": [item.deployment for item in self.attempts],
            "candidates": [
                {
                    "deployment": item.candidate.deployment,
                    "provider": item.candidate.provider,
                    "model": item.candidate.model,
                    "position": item.position,
                    "verdict": item.verdict,
                    "why": item.why,
                    "est_cost_microusd": item.est_cost_microusd,
                }
                for item in self.candidates
            ],
            "policy": self.policy,
            "policy_version": self.policy_version,
            "rule": self.rule,
            "signature": self.signature,
            "features": self.features,
        }


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    slug: str
    version: int
    document: PolicyDocument


@dataclass(frozen=True, slots=True)
class Clock:
    """``now`` in epoch seconds, and the minute of the day in each time zone that the policy names."""

    now: float
    minute_of_day: Mapping[str, int]


def make_plan(
    policy: ActivePolicy,
    features: Features,
    asked: Mapping[str, Any],
    candidates: Sequence[Candidate],
    evidence: Mapping[str, Evidence],
    clock: Clock,
) -> ExecutionPlan:
    """``asked`` is the client's body. Raises InvalidRequest if no candidate can hold what was asked."""
    document = policy.document
    reasons: list[Reason] = []
    bucket = _bucket(document, features, reasons)
    rule = _first_match(document.rules, features, bucket, clock, reasons)
    settings = apply(document.defaults, rule.then) if rule else document.defaults
    max_tokens = _max_tokens(settings, features, reasons)
    params = _params(document, settings, asked, reasons)
    ordered = _ordered(candidates, settings)
    verdicts = tuple(_judge(ordered, features, max_tokens, evidence, clock.now))
    reasons += [Reason("candidate", item.candidate.deployment, item.verdict, item.why) for item in verdicts]
    usable = tuple(item.candidate for item in verdicts if item.verdict != "ruled out")
    if verdicts and not usable and all("context" in item.why for item in verdicts):
        raise InvalidRequest(
            f"About {features.input_tokens:,} input tokens and up to {max_tokens:,} output tokens do not fit the"
            f" model's context of {max(item.candidate.context_window for item in verdicts):,} tokens.",
            "messages",
            "context_length_exceeded",
        )
    return ExecutionPlan(
        bucket=bucket,
        tier=settings.tier,
        lane=settings.lane,
        profile=settings.decoding,
        params=params,
        max_tokens=max_tokens,
        cache=settings.cache,
        attempts=usable,
        candidates=verdicts,
        policy=policy.slug,
        policy_version=policy.version,
        rule=rule.name if rule else None,
        signature=_signature(settings, params, max_tokens, ordered),
        reasons=tuple(reasons),
        features=features,
    )


def cost_microusd(candidate: Candidate, tokens_in: int, tokens_out: int) -> int:
    """Rounded up: a fraction of a micro-dollar counts as one."""
    return -(-(tokens_in * candidate.price_in + tokens_out * candidate.price_out) // MICRO)


def _bucket(document: PolicyDocument, features: Features, reasons: list[Reason]) -> str:
    output = features.output_tokens if features.output_tokens is not None else DEFAULT_OUTPUT_TOKENS
    size = f"about {features.input_tokens:,} tokens in, {output:,} out"
    for name, limit in document.buckets.items():
        if features.input_tokens <= limit.max_input_tokens and output <= limit.max_output_tokens:
            why = f"{size}; {name} takes up to {limit.max_input_tokens:,} in and {limit.max_output_tokens:,} out."
            reasons.append(Reason("bucket", name, "chosen", why[0].upper() + why[1:]))
            return name
    reasons.append(Reason("bucket", "long", "chosen", f"{size[0].upper()}{size[1:]}: more than medium takes."))
    return "long"


def _first_match(
    rules: Sequence[Rule], features: Features, bucket: str, clock: Clock, reasons: list[Reason]
) -> Rule | None:
    for rule in rules:
        miss = next(_misses(rule.when, features, bucket, clock), None)
        if miss is None:
            reasons.append(
                Reason("rule", rule.name, "matched", "Everything under “when” holds; it is the first that does.")
            )
            return rule
        reasons.append(Reason("rule", rule.name, "passed over", miss))
    reasons.append(Reason("rule", "defaults", "matched", "No rule matched, so the policy's defaults apply."))
    return None


def _misses(when: When, features: Features, bucket: str, clock: Clock) -> Iterator[str]:
    if when.bucket is not None and bucket not in when.bucket:
        yield f"Bucket is {bucket}, not {' or '.join(when.bucket)}."
    if when.model is not None and features.model not in when.model:
        yield f"Model is {features.model}, not {' or '.join(when.model)}."
    if when.key is not None and features.key not in when.key:
        yield f"Key is {features.key}, not {' or '.join(when.key)}."
    for name, value in when.metadata.items():
        if features.metadata.get(name) != value:
            yield f"Metadata {name} is {features.metadata.get(name, 'not set')}, not {value}."
    if when.hours is not None and not _within(when.hours, clock):
        yield f"It is not between {_clock(when.hours.start)} and {_clock(when.hours.end)} ({when.hours.timezone})."


def _within(hours: Hours, clock: Clock) -> bool:
    minute = clock.minute_of_day[hours.timezone]
    if hours.start <= hours.end:
        return hours.start <= minute < hours.end
    return minute >= hours.start or minute < hours.end


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _max_tokens(settings: Settings, features: Features, reasons: list[Reason]) -> int:
    asked = features.output_tokens
    if asked is not None and asked <= settings.max_tokens:
        return asked
    if asked is not None:
        why = f"The client asked for {asked:,}; the policy allows {settings.max_tokens:,}."
        reasons.append(Reason("limit", "max_tokens", "lowered", why))
    return settings.max_tokens


def _params(
    document: PolicyDocument, settings: Settings, asked: Mapping[str, Any], reasons: list[Reason]
) -> dict[str, float]:
    """The profile and temperature fill in what the client left open; its own values stay."""
    wanted: dict[str, float] = dict(document.profiles[settings.decoding]) if settings.decoding else {}
    if settings.temperature is not None:
        wanted["temperature"] = settings.temperature
    params = {name: value for name, value in wanted.items() if asked.get(name) is None}
    if settings.decoding:
        kept = sorted(wanted.keys() - params.keys())
        why = f"Sets {', '.join(f'{name} {value:g}' for name, value in sorted(params.items())) or 'nothing'}"
        why += f"; the client's own {', '.join(kept)} stays." if kept else "."
        reasons.append(Reason("decoding", settings.decoding, "applied", why))
    return params


def _ordered(candidates: Sequence[Candidate], settings: Settings) -> list[Candidate]:
    """The route's order, or the policy's where it names one (deployments that the route lacks are left out)."""
    if settings.candidates is None:
        return list(candidates)
    by_name = {item.deployment: item for item in candidates}
    return [by_name[name] for name in settings.candidates if name in by_name]


def _judge(
    ordered: Sequence[Candidate], features: Features, max_tokens: int, evidence: Mapping[str, Evidence], now: float
) -> Iterator[Verdict]:
    """Usable ones first, those that failed lately behind them, the ruled out last."""
    usable, doubtful, out = [], [], []
    for item in ordered:
        needed = features.input_tokens + max_tokens
        known = evidence.get(item.circuit, NOTHING_KNOWN)
        if item.unavailable:
            out.append((item, item.unavailable))
        elif features.input_tokens + 1 > item.context_window:
            out.append((item, f"Its context of {item.context_window:,} tokens is too small for about {needed:,}."))
        elif known.retry_at > now:
            doubtful.append((item, f"{known.why}; tried last for {known.retry_at - now:.0f} s more."))
        else:
            usable.append((item, ""))
    for position, (item, why) in enumerate(usable + doubtful):
        verdict = "next" if position else "first"
        said = why or ("First in order that can serve it." if position == 0 else "Tried if those before it fail.")
        yield Verdict(item, position + 1, verdict, said, cost_microusd(item, features.input_tokens, max_tokens))
    for item, why in out:
        yield Verdict(item, 0, "ruled out", why, cost_microusd(item, features.input_tokens, max_tokens))


def _signature(settings: Settings, params: Mapping[str, float], max_tokens: int, ordered: Sequence[Candidate]) -> str:
    """What an answer depends on besides the request itself. Health is left out, so that a failover keeps the cache."""
    parts = [settings.tier, sorted(params.items()), max_tokens, [(item.deployment, item.model) for item in ordered]]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:24]
