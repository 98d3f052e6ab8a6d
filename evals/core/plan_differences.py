"""Two plans of one request side by side, fact by fact, and their reasons."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evals.core.replay_cases import cache_in_words

NOT_THE_PLANS = ("route", "cache", "quota", "admission", "attempt", "breaker", "hedge", "retry budget", "usage")


class Row(NamedTuple):
    what: str
    old: str
    new: str

    @property
    def changed(self) -> bool:
        return self.old != self.new


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Row]:
    """Of two plan_json; an empty one is a request that got no plan."""
    before, after = _facts(old), _facts(new)
    return [Row(what, before.get(what, "–"), after.get(what, "–")) for what in (before | after)]


def _facts(plan: Mapping[str, Any]) -> dict[str, str]:
    if not plan:
        return {}
    told = {
        "Rule": plan["rule"] or "none matched",
        "Bucket": plan["bucket"],
        "Strategy": plan["strategy"],
        "Task": plan["task"],
        "Lane": plan["lane"],
        "Tier": plan["tier"],
        "max_tokens": f"{plan['max_tokens']:,}",
        "Decoding profile": plan["profile"] or "none",
        "Parameters": ", ".join(f"{name} {value:g}" for name, value in sorted(plan["params"].items())) or "none",
        "Cache": _cache(plan["cache"]),
        "Asked in order": " → ".join(plan["attempts"]) or "nobody",
        "Arm": plan["arm"] or "none",
    }
    return told


def _cache(rule: Any) -> str:
    """Recorded as a mapping, fresh as a value."""
    told = (
        rule
        if isinstance(rule, Mapping)
        else {name: getattr(rule, name) for name in ("exact", "semantic", "threshold")}
    )
    return cache_in_words(told["exact"], told["semantic"], told["threshold"])


class Reason(NamedTuple):
    """``side``: both | old | new."""

    side: str
    step: str
    subject: str
    outcome: str
    why: str


def reasons_beside(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Reason]:
    """Those of the new plan, each marked if the recorded one has it not, then what only the recorded one has."""
    before = [_reason(one) for one in old if one.get("step") not in NOT_THE_PLANS]
    after = [_reason(one) for one in new]
    told = [Reason("both" if one in before else "new", *one) for one in after]
    return told + [Reason("old", *one) for one in before if one not in after]


def _reason(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    step, subject, outcome, why = (str(one.get(name) or "") for name in ("step", "subject", "outcome", "why"))
    return step, subject, outcome, why
