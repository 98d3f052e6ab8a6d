"""Which rule of a policy a request falls under: the first whose ``when`` holds, and why not those before it."""

from collections.abc import Iterator, Sequence

from routing.core.features import Features
from routing.core.policy import Hours, Rule, When
from routing.core.reason import Reason
from routing.core.surroundings import Surroundings


def first_match(
    rules: Sequence[Rule], features: Features, bucket: str, around: Surroundings, reasons: list[Reason]
) -> int | None:
    """Its index; None: the defaults apply. Adds to ``reasons``."""
    for index, rule in enumerate(rules):
        miss = next(_misses(rule.when, features, bucket, around), None)
        if miss is None:
            reasons.append(
                Reason("rule", rule.name, "matched", "Everything under “when” holds; it is the first that does.")
            )
            return index
        reasons.append(Reason("rule", rule.name, "passed over", miss))
    reasons.append(Reason("rule", "defaults", "matched", "No rule matched, so the policy's defaults apply."))
    return None


def _misses(when: When, features: Features, bucket: str, around: Surroundings) -> Iterator[str]:
    if when.bucket is not None and bucket not in when.bucket:
        yield f"Bucket is {bucket}, not {' or '.join(when.bucket)}."
    if when.task is not None and features.task not in when.task:
        yield f"Task is {features.task}, not {' or '.join(when.task)}."
    if when.model is not None and features.model not in when.model:
        yield f"Model is {features.model}, not {' or '.join(when.model)}."
    if when.key is not None and features.key not in when.key:
        yield f"Key is {features.key}, not {' or '.join(when.key)}."
    for name, value in when.metadata.items():
        if features.metadata.get(name) != value:
            yield f"Metadata {name} is {features.metadata.get(name, 'not set')}, not {value}."
    if when.hours is not None and not _within(when.hours, around):
        yield f"It is not between {_clock(when.hours.start)} and {_clock(when.hours.end)} ({when.hours.timezone})."


def _within(hours: Hours, around: Surroundings) -> bool:
    minute = around.minute_of_day[hours.timezone]
    if hours.start <= hours.end:
        return hours.start <= minute < hours.end
    return minute >= hours.start or minute < hours.end


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
