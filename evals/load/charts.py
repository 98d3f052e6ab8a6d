"""The two charts of a load run: answers a second with the failed ones below, and p95."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from traces.core.charts import line, round_top

WIDTH, HEIGHT = 600, 180


@dataclass(frozen=True, slots=True)
class LoadCharts:
    """Paths in a box of WIDTH x HEIGHT; tops are the values at its upper edge."""

    qps: str
    failed: str  # empty: none failed
    qps_top: float
    p95: str
    p95_top: float
    ends: tuple[float, float, float]  # seconds under the left edge, the middle and the right edge


def charts_of(timeline: Sequence[Mapping[str, Any]], duration_s: float) -> LoadCharts:
    ends = [*(step["start_s"] for step in timeline[1:]), duration_s]
    rates = [step["qps"] for step in timeline]
    failed = [step["failed"] / max(end - step["start_s"], 0.01) for step, end in zip(timeline, ends, strict=True)]
    slow = [step["p95_ms"] for step in timeline]
    qps_top = round_top(max(rates, default=0.0))
    p95_top = round_top(max((value for value in slow if value is not None), default=0.0))
    return LoadCharts(
        qps=_line(rates, qps_top),
        failed=_line(failed, qps_top) if any(failed) else "",
        qps_top=qps_top,
        p95=_line(slow, p95_top),
        p95_top=p95_top,
        ends=(0.0, duration_s / 2, duration_s),
    )


def _line(values: Sequence[float | None], top: float) -> str:
    return line(values, width=WIDTH, height=HEIGHT, top=top)
