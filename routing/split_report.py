"""How a route's split fell: from the tenant's own traces, the configured shares beside what was seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import CharField, Count
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from routing.core.split import within_chance
from routing.models import Route
from traces.models import Trace

SINCE = timedelta(hours=24)
MOST = 20_000  # of the newest requests: what the page reads stays bounded


@dataclass(frozen=True, slots=True)
class Arm:
    deployment: str
    share: int
    requests: int
    percent: float


@dataclass(frozen=True, slots=True)
class SplitReport:
    """``by_chance``: whether chance explains the difference; None: too few draws to say. A draw is one request, or all
    requests of one key, user or conversation that stays on its side."""

    arms: tuple[Arm, ...]
    requests: int
    draws: int
    by_chance: bool | None
    capped: bool

    @property
    def verdict(self) -> str:
        if self.by_chance is None:
            return "Too few to compare with the shares."
        return "Within chance." if self.by_chance else "More than chance explains (99 % interval)."


def split_report(route: Route, shares: Mapping[str, int], now: datetime) -> SplitReport:
    """Of requests that were split by just these shares, in the current schema."""
    names = [route.name, *route.aliases.values_list("name", flat=True)]
    newest = Trace.objects.filter(route__in=names, started_at__gte=now - SINCE, sample=False)
    bounded = Trace.objects.filter(pk__in=newest.order_by("-started_at").values("pk")[:MOST])
    split = bounded.filter(plan_json__features__split__shares=dict(shares))
    rows = list(
        split.annotate(arm=KT("plan_json__features__split__arm"), draw=KT("plan_json__features__split__draw"))
        .values("arm")
        .annotate(requests=Count("pk"), draws=Count(Cast("draw", CharField()), distinct=True))
    )
    requests = {row["arm"]: row["requests"] for row in rows}
    draws = {row["arm"]: row["draws"] for row in rows}
    total = sum(requests.values())
    return SplitReport(
        arms=tuple(
            Arm(name, share, requests.get(name, 0), 100 * requests.get(name, 0) / total if total else 0.0)
            for name, share in shares.items()
        ),
        requests=total,
        draws=sum(draws.values()),
        by_chance=within_chance(draws, shares),
        capped=total >= MOST,
    )
