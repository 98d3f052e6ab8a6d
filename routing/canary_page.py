"""What the page of one canary shows: its way, both arms, and the evidence of each metric as a share of what decides."""

from dataclasses import dataclass
from math import log
from typing import Any

from routing.canaries import verdict_on
from routing.canary_score_page import Scores, scores_of
from routing.canary_scores import rules_of
from routing.core.canary_record import from_json
from routing.core.canary_words import figures
from routing.models import Canary, CanaryTransition
from traces.core.charts import line

WIDTH, HEIGHT = 600, 160
TOP = 1.15  # of what decides, so that the line of the bar lies inside the chart
GROUPS = {
    "errors": "failed",
    "errors_alone": "fell-back",
    "latency": "p95",
    "ttft": "ok",
    "cost": "limited",
    "score": "cached",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """``path`` draws log(e) / log(bar) over the calls; ``percent`` is where it stands at its highest."""

    name: str
    group: str
    e: float
    peak: float
    bar: float
    percent: float
    path: str


@dataclass(frozen=True, slots=True)
class Stage:
    share: int
    state: str  # done, now, open


@dataclass(frozen=True, slots=True)
class Page:
    stages: list[Stage]
    arms: list[tuple[str, dict[str, Any]]]
    metrics: list[Metric]
    points: int
    calls: int
    budget: str
    verdict: str
    transitions: list[CanaryTransition]
    scores: Scores | None
    width: int = WIDTH
    height: int = HEIGHT
    bar_y: float = round(HEIGHT - HEIGHT / TOP, 1)


def page_of(canary: Canary) -> Page:
    evidence = from_json(canary.evidence.data)
    rules = rules_of(canary)
    told = figures(evidence, rules)
    curve = canary.evidence.curve
    candidate = told["candidate"]
    return Page(
        stages=_stages(canary),
        arms=[("Candidate", candidate), ("Base", told["base"])],
        metrics=[_metric(one, curve) for one in told["metrics"]],
        points=len(curve),
        calls=candidate["calls"],
        budget=f"{rules.budget:.1%}",
        verdict=verdict_on(canary, evidence)[1] if canary.live else "",
        transitions=list(canary.transitions.order_by("-at", "-id")),
        scores=scores_of(canary, told.get("score")),
    )


def seen_of(canary: Canary) -> str:
    """How many calls of the candidate failed, for the list."""
    candidate = figures(from_json(canary.evidence.data), rules_of(canary))["candidate"]
    return f"{candidate['failed']:,} of {candidate['calls']:,}" if candidate["calls"] else "–"


def _stages(canary: Canary) -> list[Stage]:
    done = canary.state == Canary.State.DONE
    states = ["done" if done or index < canary.stage else "open" for index in range(len(canary.stages))]
    if canary.live:
        states[canary.stage] = "now"
    return [Stage(share, state) for share, state in zip(canary.stages, states, strict=True)]


def _metric(told: dict[str, Any], curve: list[Any]) -> Metric:
    bar = log(told["bar"])
    values = [max(0.0, min(TOP, point[2].get(told["metric"], 0.0) / bar)) for point in curve]
    return Metric(
        name=told["name"][0].upper() + told["name"][1:],
        group=GROUPS[told["metric"]],
        e=told["e"],
        peak=told["peak"],
        bar=told["bar"],
        percent=max(0.0, min(100.0, 100 * log(max(told["peak"], 1.0)) / bar)),
        path=line(values, width=WIDTH, height=HEIGHT, top=TOP),
    )
