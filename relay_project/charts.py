"""Lines over a share from 0 to 1, as text for a terminal and as SVG."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 61, 17  # characters
SVG_WIDTH, SVG_HEIGHT, MARGIN = 640, 400, 56
POINTS = 200  # of a line in the SVG

Paint = Callable[[str, int], str]  # text, ANSI colour


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    mark: str  # one character
    ansi: int
    css: str
    values: Sequence[float]  # evenly over the share 0..1, at least two

    def at(self, share: float) -> float:
        return float(self.values[round(share * (len(self.values) - 1))])


@dataclass(frozen=True, slots=True)
class Chart:
    across: str  # what the share is of
    up: str
    series: Sequence[Series]  # a later one is drawn over an earlier one
    level: float  # a horizontal line
    level_name: str

    @property
    def bounds(self) -> tuple[float, float]:
        every = [value for series in self.series for value in series.values] + [self.level]
        low, high = float(min(every)), float(max(every))
        return (low, high) if high - low > 1e-9 else (low - 0.5, high + 0.5)

    def height_of(self, value: float) -> float:
        """0 at the bottom, 1 at the top."""
        low, high = self.bounds
        return (value - low) / (high - low)


def text_chart(chart: Chart, paint: Paint) -> str:
    low, high = chart.bounds
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    grid[_row(chart.height_of(chart.level))] = ["┄"] * WIDTH
    for series in chart.series:
        for column in range(WIDTH):
            height = chart.height_of(series.at(column / (WIDTH - 1)))
            grid[_row(height)][column] = paint(series.mark, series.ansi)
    lines = [chart.up]
    for row, cells in enumerate(grid):
        value = high - (high - low) * row / (HEIGHT - 1)
        label = f"{value:6.1%} ┤" if row % 4 == 0 else f"{'':6} │"
        lines.append(label + "".join(cells).rstrip())
    lines.append(f"{'':6} └{'─' * WIDTH}")
    lines.append(f"{'':8}0 %{'50 %':^{WIDTH - 9}}100 %  {chart.across}")
    keys = [f"{paint(series.mark, series.ansi)} {series.name}" for series in reversed(chart.series)]
    lines.append(f"{'':8}{'   '.join([*keys, f'┄ {chart.level_name}'])}")
    return "\n".join(lines)


def svg_chart(chart: Chart) -> str:
    low, high = chart.bounds
    level = _y(chart.height_of(chart.level))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SVG_WIDTH} {SVG_HEIGHT}" role="img"'
        ' font-family="sans-serif" font-size="12" fill="#222">',
        f"<title>{chart.up} over {chart.across}</title>",
        f'<rect width="{SVG_WIDTH}" height="{SVG_HEIGHT}" fill="#fff"/>',
        f'<path d="M{_x(0)} {_y(1)}V{_y(0)}H{_x(1)}" fill="none" stroke="#666"/>',
        f'<path d="M{_x(0)} {level}H{_x(1)}" stroke="#666" stroke-dasharray="4 4"/>',
        f'<text x="{_x(0)}" y="{_y(1) - 12}">{chart.up}</text>',
        f'<text x="{_x(1)}" y="{_y(0) + 36}" text-anchor="end">{chart.across}</text>',
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<text x="{_x(share)}" y="{_y(0) + 18}" text-anchor="middle">{share:.0%}</text>')
        parts.append(
            f'<text x="{_x(0) - 6}" y="{_y(share) + 4}" text-anchor="end">{low + share * (high - low):.1%}</text>'
        )
    for number, series in enumerate(chart.series):
        shares = [point / POINTS for point in range(POINTS + 1)]
        points = " ".join(f"{_x(share)},{_y(chart.height_of(series.at(share)))}" for share in shares)
        key = f'x="{_x(0.62)}" y="{_y(0) - 14 - 18 * number}" fill="{series.css}"'
        parts.append(f'<polyline points="{points}" fill="none" stroke="{series.css}" stroke-width="2"/>')
        parts.append(f"<text {key}>{series.mark} {series.name}</text>")
    key = f'x="{_x(0.01)}" y="{level - 5}" stroke="#fff" stroke-width="3" paint-order="stroke"'
    return "\n".join([*parts, f"<text {key}>{chart.level_name}</text>", "</svg>", ""])


def _row(height: float) -> int:
    return round((1 - height) * (HEIGHT - 1))


def _x(share: float) -> float:
    return round(MARGIN + share * (SVG_WIDTH - 2 * MARGIN), 1)


def _y(height: float) -> float:
    return round(SVG_HEIGHT - MARGIN - height * (SVG_HEIGHT - 2 * MARGIN), 1)
