"""What the hourly sums say of a period, step by step, day by day and group by group."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from traces.core.periods import Period
from traces.usage import Sums, total


@dataclass(frozen=True, slots=True)
class Series:
    """One value a step of the period."""

    outcomes: Sequence[dict[str, int]]
    spend: Sequence[int]
    p50: Sequence[float | None]
    p95: Sequence[float | None]


def series_of(parts: Iterable[Sums], period: Period) -> Series:
    """``parts``: by step and outcome."""
    steps: list[list[Sums]] = [[] for _ in range(period.steps)]
    for one in parts:
        steps[period.clamp(one.names[0])].append(one)
    sums = [total(step) for step in steps]
    return Series(
        outcomes=[{one.names[1]: one.requests for one in step} for step in steps],
        spend=[one.cost_microusd for one in sums],
        p50=[one.p50 for one in sums],
        p95=[one.p95 for one in sums],
    )


def grouped(parts: Iterable[Sums], name: Callable[[Sums], Hashable]) -> list[Sums]:
    """One a name, those with most requests first."""
    found: dict[Hashable, list[Sums]] = defaultdict(list)
    for one in parts:
        found[name(one)].append(one)
    sums = [replace(total(group), names=(key,)) for key, group in found.items()]
    return sorted(sums, key=lambda one: (-one.requests, str(one.names[0])))


def days_of(parts: Iterable[Sums], period: Period) -> list[Sums]:
    """One a day (UTC) that had requests, the latest first. ``parts``: by step."""

    def day(one: Sums) -> date:
        return (period.since + period.width * period.clamp(one.names[0])).date()

    return sorted(grouped(parts, day), key=lambda one: str(one.names[0]), reverse=True)
