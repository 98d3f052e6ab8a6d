"""What happened, in two to four plain sentences, from what a trace recorded. Text between backticks is a name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from traces.core.formats import duration, money

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ANSWERED = ("ok", "fell_back")


@dataclass(frozen=True, slots=True)
class Facts:
    outcome: str
    status: int
    route: str
    latency_ms: float
    error_code: str = ""
    error_message: str = ""
    model: str = ""
    policy: str = ""
    policy_version: int = 0
    bucket: str = ""
    cache: str = "off"
    stream: bool = False
    ttft_ms: float | None = None
    tokens_out: int | None = None
    saved_microusd: int = 0
    plan: Mapping[str, Any] = field(default_factory=dict)
    cached: Mapping[str, Any] = field(default_factory=dict)
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    attempts: Sequence[Mapping[str, Any]] = ()


def what_happened(facts: Facts) -> list[str]:
    """In the order in which it happened; parts that did not take place say nothing."""
    parts = [asked(facts)]
    if facts.outcome == "cached":
        parts.append(reused(facts))
    else:
        parts += [ruled_out(facts), waited(facts), attempted(facts), ended(facts)]
    return [part for part in parts if part]


def asked(facts: Facts) -> str:
    start = f"The client asked for {name(facts.route)}" if facts.route else "The client sent a request without a model"
    if not facts.policy:
        return start + "."
    text = f"{start}; policy {name(facts.policy)} v{facts.policy_version}"
    rule = facts.plan.get("rule")
    bucket = f" put it in the {facts.bucket} bucket" if facts.bucket else " planned it"
    return f"{text}{bucket}{f' by rule {name(rule)}' if rule else ''}."


def reused(facts: Facts) -> str:
    saved = f" and saved {money(facts.saved_microusd)}" if facts.saved_microusd else ""
    end = f"so no model was called; it took {duration(facts.latency_ms)}{saved}."
    if facts.cache == "replay":
        return f"The first request with its Idempotency-Key was answered, {end}"
    if facts.cache != "semantic":
        return f"The same request was answered before, {end}"
    similarity, threshold = facts.cached.get("similarity"), facts.cached.get("threshold")
    scored = ""
    if isinstance(similarity, int | float) and isinstance(threshold, int | float):
        scored = f" (similarity {similarity:.3f}, needs {threshold:.2f})"
    return f"A similar question{scored} was answered before, {end}"


def ruled_out(facts: Facts) -> str:
    candidates = facts.plan.get("candidates") or []
    out = [c for c in candidates if c.get("verdict") == "ruled out"]
    if not out:
        return ""
    whys = "; ".join(f"{name(c.get('deployment'))}: {str(c.get('why', '')).rstrip('.')}" for c in out[:3])
    return (
        f"{number(len(out)).capitalize()} of {number(len(candidates))} candidates {was(len(out))} ruled out ({whys})."
    )


def waited(facts: Facts) -> str:
    told = facts.scheduler
    lane, decision = told.get("lane") or "its lane", told.get("decision")
    if decision == "refused":
        return f"Lane {name(lane)} had no room: {str(told.get('reason') or 'its queue was full').rstrip('.')}."
    wait = told.get("queue_wait_ms") or 0
    queued = f"It waited {duration(wait)} in lane {name(lane)}" if wait >= 1 else ""
    if decision == "degraded":
        before, after = told.get("max_tokens_before"), told.get("max_tokens_after")
        cut = f"max_tokens was cut from {before} to {after}"
        return f"{queued}, and {cut}." if queued else f"To keep lane {name(lane)} in time, {cut}."
    return f"{queued}." if queued else ""


def attempted(facts: Facts) -> str:
    failed = [a for a in facts.attempts if a.get("outcome") == "failed"]
    answered = next((a for a in facts.attempts if a.get("outcome") == "answered"), None)
    if not facts.attempts:
        return ""
    falls = ", then ".join(failure(a) for a in failed)
    if answered is None:
        return f"{capital(falls)}." if falls else ""
    last = f"{name(answered.get('deployment'))}{called(answered)}"
    tail = f"answered in {duration(answered.get('duration_ms'))}{tokens(facts)}"
    return f"{capital(falls)}, so Relay moved to {last}, which {tail}." if falls else f"{last} {tail}."


def ended(facts: Facts) -> str:
    """How it ended for the client, when that was not an answer."""
    message = f": {facts.error_message.rstrip('.')}" if facts.error_message else ""
    code = f" {name(facts.error_code)}" if facts.error_code else ""
    match facts.outcome:
        case "cancelled":
            return f"The client went away after {duration(facts.latency_ms)}."
        case "limited":
            return f"The client received {facts.status}{code}{message}."
        case "rejected":
            return f"Relay did not accept the request: {facts.status}{code}{message}."
        case "failed":
            return f"No candidate answered; the client received {facts.status}{code}{message}."
        case _:
            return ""


def failure(attempt: Mapping[str, Any]) -> str:
    status = attempt.get("status")
    what = f"answered {status}" if status else "failed"
    return f"{name(attempt.get('deployment'))} {what} after {duration(attempt.get('duration_ms'))}"


def called(attempt: Mapping[str, Any]) -> str:
    model = attempt.get("model")
    return f" ({name(model)})" if model and model != attempt.get("deployment") else ""


def tokens(facts: Facts) -> str:
    first = f", first token after {duration(facts.ttft_ms)}" if facts.stream and facts.ttft_ms is not None else ""
    return f"{f' with {facts.tokens_out:,} tokens' if facts.tokens_out else ''}{first}"


def name(text: object) -> str:
    """Backticks mark a name for the page; one inside it would end it early."""
    return f"`{str(text).replace('`', chr(39))}`"


def number(value: int) -> str:
    return NUMBERS[value] if value < len(NUMBERS) else str(value)


def was(value: int) -> str:
    return "was" if value == 1 else "were"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
