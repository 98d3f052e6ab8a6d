"""Scores of a canary's answers, as far as routing knows of them: who is scored beside whom, and what the test sees.

The scores themselves are given by ``evals``, which knows scorers; it puts itself into READERS.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import Count, Q
from django.db.models.functions import Now
from django_tenants.utils import tenant_context

from routing.core.canary import LIVE, Call, Evidence, Rules, observe_scores
from routing.core.pairing import Waiting, pairs_in
from routing.models import Canary, CanaryPair, CanaryScoring, Route
from tenants.models import ApiKey, Tenant
from traces.models import Usage

MOST_PAIRS = 1_000  # in one look
PLATFORM = "The answers on a route of the platform belong to many tenants: only a tenant's own route can have a scorer."


@dataclass(frozen=True, slots=True)
class Wanted:
    """``scorer`` in words, such as “judge:route=big”. ``percent`` of the candidate's answers, ``daily`` pairs at most,
    and the others as in ``core.canary.Rules``."""

    scorer: str
    percent: float = 50.0
    daily: int = 200
    tolerance: float = 0.05
    least_pairs: int = 0


USUAL = Wanted("")


class Reader(Protocol):
    """Reads a scorer's words for a route. Raises ValidationError that names the field ``scorer``."""

    def __call__(self, words: str, route: Route) -> dict[str, Any]: ...


# Registered once, when Django starts, by the room above that knows scorers: how one is read, and in which words all of
# them are described.
READERS: list[tuple[Reader, Callable[[], str]]] = []


def scoring_wanted(canary: Canary, wanted: Wanted) -> CanaryScoring:
    """Not saved. Raises ValidationError."""
    if canary.route.tenant is None:
        raise ValidationError({"scorer": PLATFORM})
    [(read, _)] = READERS
    row = CanaryScoring(scorer=read(wanted.scorer, canary.route), percent=wanted.percent, daily=wanted.daily)
    row.tolerance, row.least_pairs = wanted.tolerance, wanted.least_pairs
    row.clean_fields(exclude=["canary"])
    return row


def scoring_of(canary: Canary) -> CanaryScoring | None:
    try:
        return canary.scoring
    except ObjectDoesNotExist:
        return None


def rules_of(canary: Canary) -> Rules:
    scoring = scoring_of(canary)
    tolerance, least = (scoring.tolerance, scoring.least_pairs) if scoring else (None, 0)
    return Rules(tuple(canary.stages), canary.window, canary.burn_multiplier, canary.slo, tolerance, least)


def make_pairs(scoring: CanaryScoring, calls: Sequence[Call], now: datetime) -> None:
    """Of new calls, as many as the day still has room for."""
    waiting = Waiting(scoring.open_candidate, scoring.open_base)
    made, left = pairs_in(calls, waiting, scoring.percent)
    if made:
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        room = scoring.daily - CanaryPair.objects.filter(canary=scoring.canary_id, made_at__gte=today).count()
        rows = [
            CanaryPair(canary_id=scoring.canary_id, candidate_trace=a, base_trace=b) for a, b in made[: max(0, room)]
        ]
        CanaryPair.objects.bulk_create(rows)
    if left != waiting:
        scoring.open_candidate, scoring.open_base = left
        scoring.save(update_fields=["open_candidate", "open_base"])


def see_scores(canary: Canary, evidence: Evidence, rules: Rules) -> tuple[Evidence, int]:
    """What the test knows with the pairs that were scored since, and how many those are; each counts once."""
    scored = CanaryPair.objects.filter(canary=canary, state=CanaryPair.State.SCORED).order_by("pk")[:MOST_PAIRS]
    pairs = list(scored)
    for pair in pairs:
        assert pair.candidate_score is not None and pair.base_score is not None, "a scored pair has both"
        evidence = observe_scores(evidence, pair.candidate_score, pair.base_score, rules)
    CanaryPair.objects.filter(pk__in=[one.pk for one in pairs]).update(state=CanaryPair.State.COUNTED)
    return evidence, len(pairs)


def with_work() -> list[int]:
    """Canaries of which pairs wait for their scores, and ended ones whose judge still has an API key; those that a
    worker is at or that shall be left for a while are not among them."""
    ready = CanaryScoring.objects.filter(Q(not_before=None) | Q(not_before__lte=Now()))
    waiting = ready.filter(canary__state__in=LIVE, canary__pairs__state=CanaryPair.State.WAITING)
    keys = ApiKey.objects.filter(revoked_at=None, expires_at__gt=Now()).values("key_id")
    ended = ready.exclude(canary__state__in=LIVE).filter(key_id__in=keys)
    return list(waiting.values_list("canary", flat=True).union(ended.values_list("canary", flat=True)))


def scores_told(canary: Canary) -> dict[str, Any] | None:
    """How answers are scored and how far that is; None: they are not."""
    scoring, tenant = scoring_of(canary), canary.route.tenant
    if scoring is None or tenant is None:
        return None
    rows = CanaryPair.objects.filter(canary=canary).order_by().values("state").annotate(n=Count("pk"))
    states = {row["state"]: row["n"] for row in rows}
    options = {name: value for name, value in scoring.scorer.items() if name != "name" and value not in ("", "nothing")}
    return {
        "scorer": scoring.scorer["name"],
        "options": options,
        "percent": scoring.percent,
        "daily": scoring.daily,
        "tolerance": scoring.tolerance,
        "least_pairs": scoring.least_pairs,
        "waiting": states.get(CanaryPair.State.WAITING, 0),
        "void": states.get(CanaryPair.State.VOID, 0),
        "cost_microusd": _cost(tenant, scoring.key_id),
        "problem": _problem(scoring, tenant) or None,
    }


def _problem(scoring: CanaryScoring, tenant: Tenant) -> str:
    if tenant.content == Tenant.Content.METADATA:
        return (
            f"{tenant.name} keeps metadata only: without prompts and answers in its traces there is nothing to score."
        )
    return scoring.problem


def _cost(tenant: Tenant, key_id: str) -> int:
    """What the judge has cost, in micro-dollars; of all its calls, verdicts that could not be read included."""
    if not key_id:
        return 0
    with tenant_context(tenant):
        return sum(Usage.objects.filter(key_id=key_id).values_list("cost_microusd", flat=True))
