"""How values are spread, as the bars of a histogram in a box of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

from traces.core.charts import round_top

WIDTH, HEIGHT, BARS = 600.0, 140.0, 40
TAIL = 0.99  # of the values; what is beyond is counted in the last bar, so that one slow answer hides nothing


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    count: int
    start: float  # of the values in it
    end: float


@dataclass(frozen=True, slots=True)
class Spread:
    """``top``: the value at the right edge; ``beyond``: how many lie further right, counted in the last bar."""

    bars: Sequence[Bar]
    top: float
    most: int  # of the highest bar
    beyond: int
    of: int


def spread(values: Sequence[float]) -> Spread | None:
    """None without values. They are at least 0."""
    if not values:
        return None
    ordered = sorted(values)
    top = round_top(ordered[min(len(ordered) - 1, int(TAIL * len(ordered)))])
    counts = [0] * BARS
    for value in ordered:
        counts[min(BARS - 1, int(value / top * BARS))] += 1
    most, pitch = max(counts), WIDTH / BARS
    bars = [
        Bar(
            x=round(index * pitch, 1),
            y=round(HEIGHT - count / most * HEIGHT, 1),
            width=round(pitch * 0.86, 1),
            height=round(count / most * HEIGHT, 1),
            count=count,
            start=index * top / BARS,
            end=(index + 1) * top / BARS,
        )
        for index, count in enumerate(counts)
        if count
    ]
    return Spread(bars, top, most, sum(value > top for value in ordered), len(ordered))
