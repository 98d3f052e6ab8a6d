"""What a load did, from the answers that came: figures and a timeline. Times in seconds since the load's start."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

MOST_STEPS = 60
MOST_KINDS, LONGEST_KIND = 20, 120
OTHER = "other"


class Answer(NamedTuple):
    """``at_s``: when it came; ``error`` is empty or what went wrong. A NamedTuple, as a load makes a million."""

    at_s: float
    latency_ms: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the load: answers a second, p95 of those that were good, and how many were not."""

    start_s: float
    qps: float
    p95_ms: float | None
    failed: int


@dataclass(frozen=True, slots=True)
class Report:
    duration_s: float
    requests: int
    failed: int
    qps: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    errors: dict[str, int]
    timeline: tuple[Step, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def report_of(answers: Sequence[Answer], duration_s: float) -> Report:
    good = sorted(answer.latency_ms for answer in answers if not answer.error)
    return Report(
        duration_s=round(duration_s, 2),
        requests=len(answers),
        failed=len(answers) - len(good),
        qps=round(len(answers) / duration_s, 1) if duration_s > 0 else 0.0,
        p50_ms=percentile(good, 0.50),
        p95_ms=percentile(good, 0.95),
        p99_ms=percentile(good, 0.99),
        errors=errors_of(answer.error for answer in answers if answer.error),
        timeline=timeline_of(answers, duration_s),
    )


def errors_of(kinds: Iterable[str]) -> dict[str, int]:
    """The most frequent first; what is rarer than the first MOST_KINDS is one kind, so a report stays small."""
    counts = Counter(kind[:LONGEST_KIND] for kind in kinds).most_common()
    found = dict(counts[:MOST_KINDS])
    rest = sum(times for _, times in counts[MOST_KINDS:])
    return found | ({OTHER: found.get(OTHER, 0) + rest} if rest else {})


def timeline_of(answers: Sequence[Answer], duration_s: float) -> tuple[Step, ...]:
    """At most MOST_STEPS steps of whole seconds; what is left at the end, or comes after it, is the last one's."""
    width = max(1, math.ceil(duration_s / MOST_STEPS))
    count = max(1, int(duration_s // width))
    steps: list[list[Answer]] = [[] for _ in range(count)]
    for answer in answers:
        steps[min(count - 1, max(0, int(answer.at_s // width)))].append(answer)
    ends = [*(width * number for number in range(1, count)), duration_s]
    return tuple(_step(index * width, end - index * width, steps[index]) for index, end in enumerate(ends))


def _step(start_s: float, width_s: float, answers: Sequence[Answer]) -> Step:
    good = sorted(answer.latency_ms for answer in answers if not answer.error)
    qps = len(answers) / width_s if width_s > 0 else 0.0
    return Step(float(start_s), round(qps, 1), percentile(good, 0.95), len(answers) - len(good))


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest rank: a value that occurred. None without values."""
    if not ordered:
        return None
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 1)
