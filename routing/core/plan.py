"""Policy x request x health -> one explicit plan with its reasons. Pure: the same input gives the same plan."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from routing.core.candidate import Candidate as Candidate
from routing.core.candidate import cost_microusd as cost_microusd
from routing.core.evidence import Evidence
from routing.core.features import Features
from routing.core.matching import first_match
from routing.core.policy import CacheRule, PolicyDocument, Settings, apply
from routing.core.reason import Reason
from routing.core.scoring import Wanted
from routing.core.strategies import Circumstances
from routing.core.surroundings import Surroundings as Surroundings
from routing.core.trial import Trial
from routing.core.verdicts import Verdict, judge

DEFAULT_OUTPUT_TOKENS = 256  # assumed for the bucket when the client leaves its limit open


@dataclass(frozen=True, slots=True)
class ExecutionPlan:
    bucket: str
    tier: str
    lane: str
    profile: str | None
    params: Mapping[str, float]  # what Relay adds to the client's sampling parameters
    max_tokens: int
    cache: CacheRule
    settings: Settings  # all that the policy says of this request
    task: str
    environment: str
    arm: str  # the deployment that a draw chose: only its answers may be stored for this request; else empty
    attempts: tuple[Candidate, ...]
    candidates: tuple[Verdict, ...]
    policy: str
    policy_version: int
    rule: str | None
    signature: str
    reasons: tuple[Reason, ...]
    features: Features

    @property
    def strategy(self) -> str:
        return self.settings.strategy

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
            "strategy": self.strategy,
            "weights": self.settings.weights if self.strategy == "scored" else None,
            "task": self.task,
            "environment": self.environment,
            "arm": self.arm or None,
            "attempts": [item.deployment for item in self.attempts],
            "candidates": [item.as_json() for item in self.candidates],
            "policy": self.policy,
            "policy_version": self.policy_version,
            "rule": self.rule,
            "signature": self.signature,
            "features": self.features,
        }

    def decision_trace(self) -> list[dict[str, str]]:
        """Each reason, then each candidate with its verdict."""
        return [
            {"step": one.step, "subject": one.subject, "outcome": one.outcome, "why": one.why} for one in self.reasons
        ] + [
            {"step": "candidate", "subject": one.candidate.deployment, "outcome": one.verdict, "why": one.why}
            for one in self.candidates
        ]


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """``own``: a tenant's, not the platform's. ``strategy_named``: the client's, in the place of its own.

    ``by_rule``, the settings under each rule, and ``zones``, the time zones of its hours but for UTC, are put together
    once and not for every request.
    """

    slug: str
    version: int
    document: PolicyDocument
    own: bool = False
    strategy_named: str = ""
    by_rule: tuple[Settings, ...] = field(init=False, repr=False, compare=False)
    zones: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rules = self.document.rules
        zones = {rule.when.hours.timezone for rule in rules if rule.when.hours} - {"UTC"}
        object.__setattr__(self, "by_rule", tuple(apply(self.document.defaults, rule.then) for rule in rules))
        object.__setattr__(self, "zones", tuple(sorted(zones)))

    def with_strategy(self, strategy: str) -> "ActivePolicy":
        """The same policy, whose candidates are ordered in another way whatever rule matches."""
        document = self.document
        rules = tuple(replace(rule, then={**rule.then, "strategy": strategy}) for rule in document.rules)
        defaults = replace(document.defaults, strategy=strategy)
        return replace(self, document=replace(document, defaults=defaults, rules=rules), strategy_named=strategy)


def make_plan(
    policy: ActivePolicy,
    features: Features,
    asked: Mapping[str, Any],
    candidates: Sequence[Candidate],
    evidence: Mapping[str, Evidence],
    around: Surroundings,
) -> ExecutionPlan:
    """``asked`` is the client's body. Raises InvalidRequest if no candidate can hold what was asked."""
    document = policy.document
    reasons = [] if features.trial is None else [_tried(features.trial)]
    bucket = _bucket(document, features, reasons)
    index = first_match(document.rules, features, bucket, around, reasons)
    settings = document.defaults if index is None else policy.by_rule[index]
    max_tokens = _max_tokens(settings, features, reasons)
    params = _params(document, settings, asked, reasons) if features.output_tokens != 0 else {}
    task = _task(settings, features, reasons)
    ordered = _ordered(candidates, settings, features.trial)
    wanted = Wanted(features.input_tokens, max_tokens, task, around.environment)
    given = Circumstances(settings, wanted, evidence, around.draw, features.split, features.trial)
    verdicts, arm = judge(ordered, given, around.now, reasons)
    return ExecutionPlan(
        bucket=bucket,
        tier=settings.tier,
        lane=settings.lane,
        profile=settings.decoding,
        params=params,
        max_tokens=max_tokens,
        cache=settings.cache,
        settings=settings,
        task=task,
        environment=around.environment,
        arm=arm,
        attempts=tuple([item.candidate for item in verdicts if item.position]),
        candidates=verdicts,
        policy=policy.slug,
        policy_version=policy.version,
        rule=None if index is None else document.rules[index].name,
        signature=_signature(settings, params, max_tokens, ordered, arm),
        reasons=tuple(reasons),
        features=features,
    )


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


def _ordered(candidates: Sequence[Candidate], settings: Settings, trial: Trial | None) -> list[Candidate]:
    """The route's order, or the policy's where it names one (deployments that the route lacks are left out). What a
    canary tries is there for its side, named or not."""
    if settings.candidates is None:
        return list(candidates)
    by_name = {item.deployment: item for item in candidates}
    names = dict.fromkeys(settings.candidates)
    if trial is not None and trial.candidate:
        names[trial.deployment] = None
    return [by_name[name] for name in names if name in by_name]


def _tried(trial: Trial) -> Reason:
    return Reason("canary", trial.name, trial.arm, trial.why)


def _task(settings: Settings, features: Features, reasons: list[Reason]) -> str:
    if settings.task is not None:
        reasons.append(Reason("task", settings.task, "chosen", "The policy says so."))
        return settings.task
    if features.task_why:
        reasons.append(Reason("task", features.task, "chosen", features.task_why))
    return features.task


def _signature(
    settings: Settings, params: Mapping[str, float], max_tokens: int, candidates: Sequence[Candidate], arm: str
) -> str:
    """What an answer depends on besides the request itself.

    Health and strategy are left out, so that a failover keeps the cache: any candidate's answer will do. Not so where
    a draw decides between arms: an answer of one arm served to the other would blur what they are compared by, so the
    arm counts, and answers of others are not stored for it.
    """
    parts: list[Any] = [settings.tier, sorted(params.items()), max_tokens]
    parts.append([(item.deployment, item.model) for item in candidates])
    if arm:
        parts.append(arm)
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:24]
