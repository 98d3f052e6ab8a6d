"""What is to be said of one shadow: for its page and the command alike."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Sum

from routing.core.shadow import Interval, Row, Sums, rows_of, verdict
from routing.credentials import stored_credentials
from routing.models import Shadow, ShadowSum
from routing.shadows.arm import problem_with
from routing.shadows.copies import DROPPED
from routing.shadows.copying import said_in
from routing.shadows.models import ShadowPair
from traces.core.formats import count, duration, money, percent
from traces.models import Trace

NEWEST = 20
SHOWN = 600  # characters of an answer
WORDS: dict[str, tuple[str, Callable[[float], str]]] = {
    "failed": ("Failed", percent),
    "latency": ("Latency", duration),
    "ttft": ("First token", duration),
    "tokens_out": ("Tokens out", count),
    "cost": ("Cost of 1,000", lambda microusd: money(1_000 * microusd)),
    "length": ("Characters", count),
}
VERDICTS = {
    "better": ("ok", "check", "Better"),
    "worse": ("failed", "close", "Worse"),
    "same": ("plain", "drag_handle", "No difference shown"),
    "differs": ("warning", "swap_vert", "Differs"),
    "open": ("plain", "hourglass_empty", "Too few pairs"),
}
REASONS = {
    "spent": "the budget of the day was spent",
    "busy": "as many as allowed were under way",
    "no_slot": "the candidate had no free slot",
    "nobody": "the candidate's breaker was open, or it could not be asked",
    "away": "Redis or PostgreSQL was away, so the budget was not known",
    "too_many_here": "the process had too many under way",
    "stopping": "the process was stopping",
    "not_kept": "PostgreSQL was away, so the result was lost",
    "error": "Relay made an error (see the log)",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One figure in words; ``kind``, ``icon`` and ``verdict`` are those of a pill."""

    name: str
    pairs: int
    base: str
    candidate: str
    change: str
    kind: str
    icon: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One pair. Answers are None for who may not read them."""

    pair: ShadowPair
    base: str | None
    candidate: str | None


@dataclass(frozen=True, slots=True)
class Page:
    lines: list[Line]
    pairs: int
    dropped: list[tuple[str, int]]
    spent_today: int
    budget: int
    used: float  # percent of the budget
    similarity: Interval | None
    problem: str


def page_of(shadow: Shadow) -> Page:
    sums = _sums(shadow)
    meaning = sums.get("similarity")
    spent, budget = spent_today(shadow), shadow.budget_microusd
    dropped = {name.removeprefix(DROPPED): one.n for name, one in sums.items() if name.startswith(DROPPED)}
    return Page(
        lines=[_line(row) for row in rows_of(sums)],
        pairs=sums["failed"].n if "failed" in sums else 0,
        dropped=sorted(((REASONS.get(why, why), n) for why, n in dropped.items()), key=lambda one: -one[1]),
        spent_today=spent,
        budget=budget,
        used=min(100.0, 100 * spent / budget) if budget else 0.0,
        similarity=Interval(meaning.total / meaning.n, None, None) if meaning else None,
        problem=problem_with(shadow, stored_credentials()) if shadow.live else "",
    )


def spent_today(shadow: Shadow) -> int:
    """Micro-dollars that copies which ended have cost since midnight (UTC)."""
    today = ShadowSum.objects.filter(shadow=shadow, day=datetime.now(UTC).date(), name="paid_candidate").first()
    return round(today.total) if today else 0


def pairs_of(shadow: Shadow) -> int:
    return sum(ShadowSum.objects.filter(shadow=shadow, name="failed").values_list("n", flat=True))


def _sums(shadow: Shadow) -> dict[str, Sums]:
    rows = ShadowSum.objects.filter(shadow=shadow).values("name")
    found = rows.annotate(values=Sum("n"), sum=Sum("total"), of_squares=Sum("squares"))
    return {row["name"]: Sums(row["values"], row["sum"], row["of_squares"]) for row in found}


def _line(row: Row) -> Line:
    name, shown = WORDS[row.name]
    kind, icon, words = VERDICTS[verdict(row)]
    change = _points(row.change) if row.name == "failed" else _times(row.change)
    return Line(name, row.n, shown(row.base), shown(row.candidate), change, kind, icon, words)


def _times(change: Interval) -> str:
    """“× 1.24 (1.10 to 1.40)”."""
    said = f"× {change.mean:.2f}"
    return said if change.low is None or change.high is None else f"{said} ({change.low:.2f} to {change.high:.2f})"


def _points(change: Interval) -> str:
    """“+2.0 (+1.0 to +3.0) points”, of percent."""
    mean, low, high = (None if value is None else f"{100 * value:+.1f}".replace("-", "−") for value in change)
    return f"{mean} points" if low is None else f"{mean} ({low} to {high}) points"


def newest(shadow: Shadow, *, prompts: bool) -> list[Shown]:
    """The last pairs of the connection's tenant, each beside the client's own answer, for who may read them."""
    pairs = list(ShadowPair.objects.filter(shadow_id=shadow.pk)[:NEWEST])
    if not prompts:
        return [Shown(pair, None, None) for pair in pairs]
    traces = Trace.objects.filter(id__in=[pair.trace_id for pair in pairs])
    answers: dict[Any, str] = {one.pk: said_in(one.response_json) for one in traces.only("id", "response_json")}
    return [Shown(pair, _cut(answers.get(pair.trace_id, "")), _cut(pair.answer)) for pair in pairs]


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
