"""Outcomes of attempts, counted by minute and deployment, and what they amount to over four windows."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from routing.core.evidence import Burn

Counts = dict[int, int]
"""FAILED, or the number of a latency bucket -> attempts."""
ByMinute = Mapping[int, Mapping[str, Counts]]
"""Minutes after the epoch -> deployment -> its outcomes."""

FAILED = -1
EDGES_MS = tuple(round(10 * 1.35**step) for step in range(33))  # 10 ms to 148 s; the last bucket is open
WINDOWS_MIN = (5, 30, 60, 360)
MIN_SAMPLES = 10
SLO = 0.99


@dataclass(frozen=True, slots=True)
class Sums:
    """(attempts, failures) in each of WINDOWS_MIN, and the latencies of the shortest."""

    windows: tuple[tuple[int, int], ...]
    latencies: Counts


NONE = Sums(((0, 0),) * len(WINDOWS_MIN), {})


def bucket(latency_ms: float) -> int:
    """The number of the bucket whose upper edge is the first at or above the latency."""
    return bisect_left(EDGES_MS, latency_ms)


def add(counts: Counts, more: Mapping[int, int]) -> None:
    for field, times in more.items():
        counts[field] = counts.get(field, 0) + times


def summed(by_minute: ByMinute, deployment: str, minutes: Iterable[int], now: int) -> Sums:
    """The outcomes of these minutes, each counted into the windows that it lies in at the minute ``now``."""
    windows = [[0, 0] for _ in WINDOWS_MIN]
    latencies: Counts = {}
    for minute in minutes:
        counts = by_minute.get(minute, {}).get(deployment)
        if not counts:
            continue
        attempts, failures = sum(counts.values()), counts.get(FAILED, 0)
        for window, length in zip(windows, WINDOWS_MIN, strict=True):
            if now - minute < length:
                window[0] += attempts
                window[1] += failures
        if now - minute < WINDOWS_MIN[0]:
            add(latencies, {field: times for field, times in counts.items() if field != FAILED})
    return Sums(tuple((attempts, failures) for attempts, failures in windows), latencies)


def together(one: Sums, other: Sums) -> Sums:
    """Sums of different minutes, or of different processes."""
    latencies = dict(one.latencies)
    add(latencies, other.latencies)
    pairs = zip(one.windows, other.windows, strict=True)
    return Sums(tuple((a[0] + b[0], a[1] + b[1]) for a, b in pairs), latencies)


def burn(sums: Sums) -> Burn:
    """With few attempts in a window nothing is said of it: one failure among three is no trend."""
    m5, m30, h1, h6 = (_ratio(*window) / (1 - SLO) if window[0] >= MIN_SAMPLES else 0.0 for window in sums.windows)
    return Burn(m5, m30, h1, h6)


def error_rate(sums: Sums) -> float:
    return _ratio(*sums.windows[0])


def p95_ms(sums: Sums) -> float | None:
    """Within its bucket as if the latencies lay evenly: at most 35 % off. None without answers."""
    wanted = 0.95 * sum(sums.latencies.values())
    for number, times in sorted(sums.latencies.items()):
        if times >= wanted:
            low = EDGES_MS[number - 1] if number else 0
            high = EDGES_MS[number] if number < len(EDGES_MS) else low
            return low + (high - low) * wanted / times
        wanted -= times
    return None


def _ratio(attempts: int, failures: int) -> float:
    return failures / attempts if attempts else 0.0
