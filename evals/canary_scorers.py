"""The scorers that a canary may name: live answers have no reference and no baseline beside them."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Q

from evals.core.scorers import KINDS, BadScorers, Scorer, read_scorers, scorers_from_words
from routing.models import Route

FREE = tuple(kind.name for kind in KINDS.values() if not {"reference", "baseline"} & set(kind.needs))


def described() -> str:
    kinds = [name for name in FREE if name != "custom" or settings.RELAY_EVAL_SCORERS]
    return f"Like “judge:route=big-model”. There are: {', '.join(kinds)}."


def read_canary_scorer(words: str, route: Route) -> dict[str, Any]:
    """As ``CanaryScoring.scorer`` keeps it. Raises ValidationError that names the field ``scorer``."""
    specs = scorers_from_words(words)
    if len(specs) != 1:
        raise ValidationError({"scorer": f"Name one scorer; its criteria hold no comma. {described()}"})
    try:
        scorer = scorer_of(specs[0])
    except BadScorers as problem:
        raise ValidationError({"scorer": str(problem)}) from None
    if scorer.kind not in FREE or scorer.options.get("against") in ("reference", "baseline"):
        raise ValidationError(
            {"scorer": f"“{words.strip()}” needs a reference answer, which live traffic does not have."}
        )
    if scorer.kind == "judge":
        _check_judge(str(scorer.options["route"]), route)
        return {**specs[0], "against": "nothing"}
    return specs[0]


def scorer_of(spec: dict[str, Any]) -> Scorer:
    """Raises BadScorers."""
    [scorer] = read_scorers([spec], settings.RELAY_EVAL_SCORERS)
    return scorer


def _check_judge(name: str, route: Route) -> None:
    """Nobody judges itself. A tenant's own route stands before one of the platform with the same name."""
    usable = Route.objects.filter(Q(tenant=route.tenant) | Q(tenant=None), name=name, enabled=True)
    judge = usable.order_by("tenant").first()  # PostgreSQL sorts null last
    if judge is None:
        raise ValidationError({"scorer": f"There is no enabled route “{name[:200]}” that could judge."})
    if route.pk in (judge.pk, judge.alias_of_id):
        raise ValidationError({"scorer": f"“{name[:200]}” is what the canary is on: another model must judge."})
