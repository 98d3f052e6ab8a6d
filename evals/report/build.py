"""What a comparison's report shows: the verdict, its table, pictures, categories, and answers side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from evals.core.gate_words import VERDICTS, Row, amount
from evals.core.metrics import SCORE, Answered, figure, metric_names, metric_of, metric_values, quantile
from evals.core.plots import Bar, Curves, Dot, Tick, curves, interval_bar, scatter
from evals.core.wording import Part, marked
from evals.core.worst import Change, changes
from evals.gating import Verdict
from evals.models import Item, Result, Run
from evals.runs import answered
from traces.core.formats import duration

PLOTTED = ("p50_latency", "ttft_p50", "cost", "tokens_out")  # one of each distribution
TITLES = {"p50_latency": "Latency", "ttft_p50": "First token", "cost": "Cost", "tokens_out": "Tokens out"}
MOST_CATEGORIES = 30
MEDIAN = quantile(0.5)
PAGE = 20
LONGEST_PROMPT = 2_000  # characters of a prompt that are shown
MARKS = {"pass": ("ok", "✓"), "fail": ("failed", "✕"), "undecided": ("warning", "?")}


@dataclass(frozen=True, slots=True)
class Line:
    row: Row
    bar: Bar | None
    words: str
    kind: str
    mark: str


@dataclass(frozen=True, slots=True)
class Plot:
    title: str
    curves: Curves
    ticks: tuple[tuple[str, Tick], ...]
    before: str  # the median
    after: str


class Cell(NamedTuple):
    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Category:
    name: str
    pairs: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Side:
    result: Result
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """Without ``prompt`` and parts for those who may not read answers."""

    item: Item
    change: Change
    words: str
    prompt: str
    before: Side
    after: Side


@dataclass(frozen=True, slots=True)
class Report:
    baseline: Run
    candidate: Run
    verdict: Verdict
    lines: tuple[Line, ...]
    plots: tuple[Plot, ...]
    quality: str  # which score is in the scatter and the categories; empty: none was given
    dots: tuple[Dot, ...]
    heads: tuple[str, ...]
    categories: tuple[Category, ...]
    cases: tuple[Case, ...]
    page: int
    pages: int
    pairs: int

    @property
    def kind(self) -> str:
        return MARKS[self.verdict.verdict][0]

    @property
    def mark(self) -> str:
        return MARKS[self.verdict.verdict][1]


def report_of(
    baseline: Run, candidate: Run, verdict: Verdict, *, prompts: bool, page: int = 1, size: int = PAGE
) -> Report:
    """``prompts``: with prompts and answers. ``page``: of the answers, from 1, ``size`` on each."""
    before, after = answered(baseline), answered(candidate)
    ranked = changes(before, after)
    pages = max(-(-len(ranked) // size), 1)
    page = min(max(page, 1), pages)
    quality = next((name for name in metric_names(after) if name.startswith(SCORE)), "")
    return Report(
        baseline=baseline,
        candidate=candidate,
        verdict=verdict,
        lines=tuple(_line(row) for row in verdict.rows),
        plots=_plots(before, after),
        quality=metric_of(quality).label if quality else "",
        dots=_dots(before, after, quality) if quality else (),
        heads=tuple(metric_of(name).label for name in _columns(quality)),
        categories=_categories(before, after, _columns(quality)),
        cases=_cases(baseline, candidate, ranked[(page - 1) * size : page * size], prompts),
        page=page,
        pages=pages,
        pairs=len(ranked),
    )


def _line(row: Row) -> Line:
    kind, mark = MARKS[row.verdict]
    bar = None
    if row.low is not None and row.high is not None and row.change is not None:
        bar = interval_bar(row.low, row.high, row.change, row.bound, zero=row.measure != "value")
    return Line(row, bar, VERDICTS[row.verdict], kind, mark)


def _plots(before: Sequence[Answered], after: Sequence[Answered]) -> tuple[Plot, ...]:
    scores = [name for name in metric_names(after) if name.startswith(SCORE)]
    made = []
    for name in (*PLOTTED, *scores):
        values = metric_values(name, before), metric_values(name, after)
        drawn = curves(*values, logarithmic=metric_of(name).unit in ("ms", "microusd"))
        if drawn is not None:
            middles = [MEDIAN(each) for each in values]
            ticks = {amount(name, tick.value): tick for tick in drawn.ticks}  # each text once
            title = TITLES.get(name) or metric_of(name).label
            made.append(Plot(title, drawn, tuple(ticks.items()), amount(name, middles[0]), amount(name, middles[1])))
    return tuple(made)


def _columns(quality: str) -> tuple[str, ...]:
    return ("p50_latency", "cost", "error_rate", *([quality] if quality else []))


def _by_category(
    before: Sequence[Answered], after: Sequence[Answered]
) -> list[tuple[str, list[Answered], list[Answered]]]:
    """The largest first."""
    found: dict[str, tuple[list[Answered], list[Answered]]] = {}
    for side, results in enumerate((before, after)):
        for one in results:
            found.setdefault(one.category or "no category", ([], []))[side].append(one)
    return [(name, *sides) for name, sides in sorted(found.items(), key=lambda each: (-len(each[1][1]), each[0]))]


def _categories(before: Sequence[Answered], after: Sequence[Answered], names: Sequence[str]) -> tuple[Category, ...]:
    def cell(name: str, was: list[Answered], now: list[Answered]) -> Cell:
        return Cell(metric_of(name).label, amount(name, figure(name, was)), amount(name, figure(name, now)))

    return tuple(
        Category(category, len(now), tuple(cell(name, was, now) for name in names))
        for category, was, now in _by_category(before, after)[:MOST_CATEGORIES]
    )


def _dots(before: Sequence[Answered], after: Sequence[Answered], quality: str) -> tuple[Dot, ...]:
    groups = []
    for name, was, now in [("all", list(before), list(after)), *_by_category(before, after)[: MOST_CATEGORIES // 3]]:
        figures = [figure(metric, side) for side in (was, now) for metric in ("cost", quality)]
        known = [each for each in figures if each is not None]
        if len(known) == len(figures):
            groups.append((name, known[0], known[1], known[2], known[3]))
    return scatter(groups)


def _cases(baseline: Run, candidate: Run, ranked: Sequence[Change], prompts: bool) -> tuple[Case, ...]:
    ids = [change.after.item for change in ranked]
    items = {item.pk: item for item in _without_content(Item.objects.filter(pk__in=ids), prompts, "body", "reference")}
    sides = []
    for run in (baseline, candidate):
        rows = _without_content(run.results.filter(item__in=ids), prompts, "answer", "error", "remarks")
        sides.append({(row.item_id, row.repetition): row for row in rows})
    return tuple(
        _case(items[change.after.item], change, sides[0][place], sides[1][place], prompts)
        for change in ranked
        for place in [(change.after.item, change.after.repetition)]
    )


def _without_content(rows: Any, prompts: bool, *content: str) -> Any:
    """What the person may not read is not even loaded."""
    return rows if prompts else rows.defer(*content)


def _case(item: Item, change: Change, before: Result, after: Result, prompts: bool) -> Case:
    if not prompts:
        return Case(item, change, words_of(change), "", Side(before, ()), Side(after, ()))
    parts = marked(before.answer or before.error, after.answer or after.error)
    return Case(item, change, words_of(change), prompt_of(item.body), Side(before, parts[0]), Side(after, parts[1]))


def words_of(change: Change) -> str:
    """What changed, the worst first: “no answer any more · exact 1 → 0 · 2.1x slower (870 ms → 1.84 s)”."""
    said = []
    if change.lost:
        said.append(f"{change.before.outcome} → {change.after.outcome}")
    for name in sorted(change.before.scores.keys() & change.after.scores.keys()):
        was, now = change.before.scores[name], change.after.scores[name]
        if round(was, 3) != round(now, 3):
            said.append(f"{name.replace('_', ' ')} {was:.3g} → {now:.3g}")
    if change.slower is not None:
        said.append(f"{duration(change.before.latency_ms)} → {duration(change.after.latency_ms)}")
    return " · ".join(said)


def prompt_of(body: Mapping[str, Any]) -> str:
    """The last message that is text; what is odd is shown as it is."""
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else body
    content = last.get("content") if isinstance(last, dict) else last
    if isinstance(content, list):
        content = " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    text = str(content or "")
    return text if len(text) <= LONGEST_PROMPT else f"{text[:LONGEST_PROMPT]}…"
