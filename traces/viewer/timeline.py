"""The waterfall of a trace's spans: where each bar lies, in percent of the whole."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from traces.viewer.lenient import items, mapping, number, text

KINDS = ("gate", "cache", "decision", "waiting", "upstream", "stream", "write")
LEAST_PERCENT = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    name: str
    detail: str
    kind: str
    failed: bool
    depth: int
    left: float
    width: float
    start_ms: float
    duration_ms: float
    label: str  # where the duration stands: after, before or inside the bar
    attributes: tuple[tuple[str, str], ...]


def waterfall(spans: object, total_ms: float, failed_attempts: Iterable[int]) -> list[Row]:
    """Rows in the order of start, children below their parents. Spans of unknown parents stand at the top level."""
    found = [span for span in map(mapping, items(spans)) if span]
    known = {text(span.get("id")) for span in found}
    children: dict[str, list[Mapping[str, Any]]] = {}
    for span in sorted(found, key=lambda span: number(span.get("start_ms")) or 0.0):
        parent = text(span.get("parent"))
        children.setdefault(parent if parent in known else "", []).append(span)
    failed = {f"Attempt {attempt}" for attempt in failed_attempts}
    rows: list[Row] = []
    seen: set[str] = set()

    def place(spans: Sequence[Mapping[str, Any]], depth: int) -> None:
        for span in spans:
            identity = text(span.get("id"))
            rows.append(row_of(span, max(total_ms, 0.001), depth, failed))
            if identity and identity not in seen:
                seen.add(identity)
                place(children.get(identity, ()), min(depth + 1, 4))

    place(children.get("", ()), 0)
    return rows


def row_of(span: Mapping[str, Any], total_ms: float, depth: int, failed: set[str]) -> Row:
    start, took = number(span.get("start_ms")) or 0.0, number(span.get("duration_ms")) or 0.0
    left = min(max(start / total_ms * 100, 0), 100 - LEAST_PERCENT)
    width = min(max(took / total_ms * 100, LEAST_PERCENT), 100 - left)
    name, kind = text(span.get("name")) or "Step", text(span.get("kind"))
    attributes = mapping(span.get("attributes"))
    shown = {key: value for key, value in {**attributes, **span}.items() if key in attributes or key == "detail"}
    return Row(
        id=text(span.get("id")),
        name=name,
        detail=text(span.get("detail")),
        kind=kind if kind in KINDS else "gate",
        failed=any(name == label or name.startswith(f"{label}:") for label in failed),
        depth=depth,
        left=round(left, 2),
        width=round(width, 2),
        start_ms=start,
        duration_ms=took,
        label=place_of_label(left, width),
        attributes=tuple((key.replace("_", " "), text(value)) for key, value in shown.items()),
    )


def place_of_label(left: float, width: float) -> str:
    if left + width <= 86:
        return "after"
    return "before" if left >= 14 else "inside"
