"""Geometry of the console's small charts, in units of their own box; templates draw it as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# The five groups that the charts tell apart, bottom to top, and the outcomes in each.
GROUPS: dict[str, tuple[str, ...]] = {
    "ok": ("ok",),
    "cached": ("cached",),
    "fell-back": ("fell_back",),
    "limited": ("limited", "rejected", "cancelled"),
    "failed": ("failed",),
}
GROUP_WORDS = {
    "ok": "OK",
    "cached": "Cached",
    "fell-back": "Fell back",
    "limited": "Limited, rejected, cancelled",
    "failed": "Failed",
}


@dataclass(frozen=True, slots=True)
class Segment:
    group: str
    y: float
    height: float
    count: int


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    width: float
    total: int
    segments: tuple[Segment, ...]

    @property
    def words(self) -> str:
        parts = ", ".join(f"{part.count:,} {GROUP_WORDS[part.group].lower()}" for part in self.segments)
        return f"{self.total:,} {'request' if self.total == 1 else 'requests'}{': ' + parts if parts else ''}"


def bars(steps: Sequence[Mapping[str, int]], *, width: float, height: float, top: int = 0) -> list[Bar]:
    """Stacked bars of {outcome: count}, one a step; ``top`` is the count at full height (0: the highest bar)."""
    most = top or max((sum(step.values()) for step in steps), default=0) or 1
    pitch = width / max(len(steps), 1)
    return [stacked(step, index * pitch, pitch, height, most) for index, step in enumerate(steps)]


def stacked(step: Mapping[str, int], x: float, pitch: float, height: float, most: int) -> Bar:
    segments, y = [], height
    for group, outcomes in GROUPS.items():
        count = sum(step.get(outcome, 0) for outcome in outcomes)
        if count:
            tall = count / most * height
            y -= tall
            segments.append(Segment(group, round(max(y, 0), 2), round(tall, 2), count))
    return Bar(round(x, 2), round(pitch * 0.82, 2), sum(step.values()), tuple(segments))


def line(values: Sequence[float | None], *, width: float, height: float, top: float = 0) -> str:
    """An SVG path through the known values; a gap where one is unknown. Straight lines: a curve invents values."""
    most = top or max((value for value in values if value is not None), default=0) or 1
    pitch = width / max(len(values) - 1, 1)
    path, pen = [], "M"
    for index, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        path.append(f"{pen}{index * pitch:.1f} {height - value / most * height:.1f}")
        if pen == "M" and (index + 1 == len(values) or values[index + 1] is None):
            path.append("h0.1")  # a lone value shows as a dot
        pen = "L"
    return "".join(path)


def round_top(most: float) -> float:
    """The next round number at or above the highest value, so that a chart's gridlines carry short labels."""
    if most <= 4:
        return 4.0
    power = 1.0
    while power * 10 < most:
        power *= 10
    return next(factor * power for factor in (1, 2, 4, 5, 8, 10) if factor * power >= most)
