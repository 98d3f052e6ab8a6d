"""“Try it”: one made-up request through the planner, and its plan in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routing.core.policy import PolicyInvalid
from routing.documents import read_policy
from routing.models import Policy
from routing.try_it import try_policy
from tenants.models import Tenant

MAX_PROMPT = 20_000


@dataclass(frozen=True, slots=True)
class Attempt:
    model: str
    prompt: str
    key: str
    max_tokens: int | None
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    version: int  # 0: the text in the editor
    error: str
    plan: dict[str, Any]
    facts: list[tuple[str, str]]

    @property
    def order(self) -> list[str]:
        return list(self.plan.get("attempts") or [])

    @property
    def scores(self) -> list[tuple[str, float]]:
        """Each scored candidate's points; nothing under another strategy."""
        candidates = self.plan.get("candidates") or []
        return [(item["deployment"], item["factors"]["total"]) for item in candidates if "factors" in item]


def read_attempt(form: Mapping[str, str], *, keys: list[str], models: list[str]) -> Attempt | str:
    """The request, or what is wrong with it in a sentence."""
    model, key, limit = form.get("model", ""), form.get("key", ""), form.get("max_tokens", "").strip()
    if model not in models:
        return "Choose a model that your clients may ask for." if models else "There is no route yet: add one first."
    if key and key not in keys:
        return "This tenant has no such key."
    if limit and not (limit.isascii() and limit.isdecimal() and 0 < int(limit[:9]) <= 1_000_000 and len(limit) < 8):
        return "max_tokens must be a whole number from 1 to 1,000,000."
    metadata = {}
    for line in filter(None, map(str.strip, form.get("metadata", "")[:4_000].splitlines())):
        name, equals, value = line.partition("=")
        if not equals:
            return "Write metadata as name=value, one a line."
        metadata[name.strip()] = value.strip()
    return Attempt(model, form.get("prompt", "")[:MAX_PROMPT], key, int(limit) if limit else None, metadata)


def run(attempt: Attempt, *, policy: Policy, tenant: Tenant | None, text: str, version: int) -> Outcome:
    try:
        document = read_policy(text)
    except PolicyInvalid as error:
        return Outcome(version, f"It has problems: {error.problems[0]}", {}, [])
    plan = try_policy(
        document=document,
        version=version,
        tenant=tenant,
        slug=policy.slug,
        model=attempt.model,
        prompt=attempt.prompt,
        max_tokens=attempt.max_tokens,
        key=attempt.key,
        metadata=attempt.metadata,
    )
    return Outcome(version, plan.get("error", ""), plan, [] if "error" in plan else _facts(plan))


def _facts(plan: dict[str, Any]) -> list[tuple[str, str]]:
    cache = plan.get("cache") or {}
    kinds = [name for name in ("exact", "semantic") if cache.get(name)]
    if cache.get("semantic"):
        kinds[-1] = f"semantic from {cache.get('threshold')}"
    cost = next(
        (item["est_cost_microusd"] for item in plan.get("candidates") or [] if item.get("verdict") == "first"), None
    )
    return [
        ("Bucket", str(plan.get("bucket", "–"))),
        ("Rule", str(plan.get("rule") or "none, defaults")),
        ("Lane", str(plan.get("lane", "–"))),
        ("Tier", str(plan.get("tier", "–"))),
        ("Task", str(plan.get("task") or "–")),
        ("Strategy", str(plan.get("strategy", "–"))),
        ("Max tokens", f"{plan['max_tokens']:,}" if plan.get("max_tokens") else "–"),
        ("Cache", " and ".join(kinds) or "off"),
        ("Est. cost", "–" if cost is None else f"${cost / 1_000_000:.4f}" if cost else "$0"),
    ]
