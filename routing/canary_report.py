"""What is to be said of a canary: for the API, the command and the console alike."""

from typing import Any

from routing.canaries import verdict_on
from routing.canary_scores import rules_of, scores_told
from routing.core.canary import ALL
from routing.core.canary_record import from_json
from routing.core.canary_words import figures
from routing.models import Canary, CanaryTransition


def report_of(canary: Canary) -> dict[str, Any]:
    """``evidence``: both arms and each metric's e-value beside its bar; ``next``: what would be decided now.
    ``scoring``: how its answers are scored, None if they are not."""
    evidence = from_json(canary.evidence.data)
    route = canary.route
    return {
        "id": canary.pk,
        "route": route.name,
        "tenant": route.tenant.slug if route.tenant else None,
        "candidate": canary.name,
        "base": canary.base,
        "state": canary.state,
        "share": ALL if canary.state == Canary.State.DONE else canary.share,
        "stages": canary.stages,
        "sticky": canary.sticky,
        "started_at": canary.started_at,
        "started_by": canary.started_by,
        "ended_at": canary.ended_at,
        "next": verdict_on(canary, evidence)[1] if canary.live else None,
        "evidence": figures(evidence, rules_of(canary)),
        "scoring": scores_told(canary),
        "transitions": [_told(one) for one in canary.transitions.all()],
    }


def _told(one: CanaryTransition) -> dict[str, Any]:
    return {
        "at": one.at,
        "from": {"state": one.from_state or None, "share": one.from_share},
        "to": {"state": one.to_state, "share": one.to_share},
        "why": one.why,
        "by": one.by or None,
        "evidence": one.evidence,
    }
