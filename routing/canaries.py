"""Every write to canaries: start, look (the automatic part), advance, pause, resume, roll back. Console, API and
commands call these.

Each takes the canary's row first, so that two at once come one after the other and the second sees what the first did.
"""

import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from routing.canary_arm import problem_with_candidate
from routing.canary_calls import forget_calls, take_calls
from routing.canary_scores import Wanted, make_pairs, rules_of, scoring_of, scoring_wanted, see_scores
from routing.core.canary import ALL, LIVE, TABLE, Decision, Event, Evidence, decide, next_stage, observe
from routing.core.canary_record import from_json, to_json
from routing.core.canary_words import figures, sentence
from routing.credentials import stored_credentials
from routing.documents import read_policy
from routing.models import (
    Canary,
    CanaryEvidence,
    CanaryScoring,
    CanaryTransition,
    Deployment,
    Policy,
    PolicyVersion,
    Route,
)
from routing.services import activate, save_route

log = logging.getLogger("relay.canaries")
MOST_CALLS = 5_000  # in one look, so that its transaction stays short
MOST_POINTS = 160  # of the curve; then every other one goes
RELATED = ("route__tenant", "route__policy", "deployment__provider", "policy_version__policy", "scoring")


class NotAdvanced(Exception):
    """The guardrails say no; the message says why."""


class NoLiveCanary(Exception):
    def __init__(self, canary: Canary) -> None:
        super().__init__(f"The canary of {canary} has ended: {canary.get_state_display().lower()}.")


def start_canary(
    *,
    route: Route,
    candidate: Deployment | PolicyVersion,
    sticky: str = Canary.Sticky.CONVERSATION,
    stages: Sequence[int] | None = None,
    window: int | None = None,
    scores: Wanted | None = None,
    by: str = "",
) -> Canary:
    """In force everywhere within a second. What is not given comes from the settings; without ``scores`` answers are
    not scored. Raises ValidationError."""
    row = Canary(route=route, sticky=sticky, started_by=by[:150])
    row.stages = [*(settings.CANARY_STAGES if stages is None else stages)]
    row.stages += [] if row.stages and row.stages[-1] == ALL else [ALL]
    row.window = settings.CANARY_WINDOW if window is None else window
    row.burn_multiplier = settings.CANARY_BURN_MULTIPLIER
    row.slo = _slo(route.policy)
    row.base = f"{route.policy.slug}@{route.policy.active_version}" if isinstance(candidate, PolicyVersion) else "route"
    row.name = candidate.slug if isinstance(candidate, Deployment) else f"{candidate.policy.slug}@{candidate.number}"
    _choose(row, candidate)
    _check(row)
    row.clean_fields(exclude=["name", "base", "state", "stage"])
    scoring = scoring_wanted(row, scores) if scores is not None else None
    try:
        _save(row, scoring, by)
    except IntegrityError:
        raise _taken(route) from None
    return row


@transaction.atomic
def _save(row: Canary, scoring: CanaryScoring | None, by: str) -> None:
    row.save()
    CanaryEvidence.objects.create(canary=row, data=to_json(Evidence()))
    said = f"Started with {row.share} % of {row.route.name}."
    if scoring is not None:
        scoring.canary = row
        scoring.save()
        said += f" Its answers are scored by {scoring.scorer['name']}."
    _record(row, ("", 0), said, Evidence(), by)


def _slo(policy: Policy) -> float:
    version = policy.versions.filter(number=policy.active_version or 0).first()
    return read_policy(version.text).defaults.slo if version else 0.99


def _choose(row: Canary, candidate: Deployment | PolicyVersion) -> None:
    if isinstance(candidate, Deployment):
        row.deployment = candidate
    else:
        row.policy_version = candidate


def _check(row: Canary) -> None:
    """Raises ValidationError."""
    route = row.route
    if route.alias_of_id is not None:
        raise ValidationError({"route": f"{route.name} is another name for {route.alias_of}: start it there."})
    if row.policy_version is not None and row.policy_version.policy.tenant_id != route.tenant_id:
        raise ValidationError({"policy_version": "This policy is not the route's own: it would change for others too."})
    steps = [step.deployment for step in route.steps.select_related("deployment")]
    if row.deployment is not None and (
        [row.deployment] == steps or row.deployment.serves not in {one.serves for one in steps}
    ):
        raise ValidationError({"deployment": "The route has nothing that it could be compared with."})
    if problem := problem_with_candidate(row, stored_credentials()):
        raise ValidationError({"deployment" if row.deployment else "policy_version": problem})
    rising = all(low < high for low, high in zip([0, *row.stages], row.stages, strict=False))
    if not rising or not all(isinstance(one, int) for one in row.stages) or row.stages[-1] > ALL:
        raise ValidationError({"stages": "Stages are whole percentages that rise, for example 1, 5, 25."})
    if live := Canary.objects.filter(route=route, state__in=LIVE).first():
        raise _taken(route, live)


def _taken(route: Route, live: Canary | None = None) -> ValidationError:
    what = f"of {live.name}" if live else "that somebody started just now"
    return ValidationError({"route": f"The route {route.name} has a canary already, {what}: end that first."})


def look_at_all() -> int:
    """What Relay does by itself, every few seconds; how many canaries are live."""
    live = list(Canary.objects.filter(state__in=LIVE).values_list("pk", flat=True))
    for pk in live:
        try:
            while look(pk):
                pass
        except Exception:  # the others are watched all the same, and this one is looked at again next time
            log.exception("a canary could not be looked at", extra={"canary": pk})
    forget_calls()
    return len(live)


@transaction.atomic
def look(pk: int) -> bool:
    """Let the tests see the new calls and do what follows; whether there may be more. Somebody else at it: nothing."""
    rows = Canary.objects.select_for_update(of=("self",), skip_locked=True).select_related(*RELATED)
    canary = rows.filter(pk=pk, state__in=LIVE).first()
    if canary is None:
        return False
    kept = CanaryEvidence.objects.get(canary=canary)
    evidence = from_json(kept.data)
    if gone := problem_with_candidate(canary, stored_credentials()):
        _move(canary, "gone", gone, evidence)
        return False
    calls, scored = take_calls(canary.pk, MOST_CALLS), 0
    rules, share = rules_of(canary), canary.share
    for call in calls:
        evidence = observe(evidence, call, rules, share)
    if (scoring := scoring_of(canary)) is not None:
        make_pairs(scoring, calls, timezone.now())
        evidence, scored = see_scores(canary, evidence, rules)
    decision = decide(evidence, rules, _state(canary), share)
    if calls or scored:
        _keep(kept, evidence, share)
    if decision.event is not None:
        _move(canary, decision.event, sentence(decision, evidence, rules, share), evidence, kept=kept)
    return canary.live and len(calls) == MOST_CALLS


@transaction.atomic
def advance(*, canary: Canary, force: bool = False, by: str = "") -> Canary:
    """To its next stage. Raises NotAdvanced unless the guardrails allow it or ``force``, and NoLiveCanary."""
    row, kept = _locked(canary)
    evidence, rules = from_json(kept.data), rules_of(row)
    decision = decide(evidence, rules, "running", row.share)
    why = sentence(decision, evidence, rules, row.share)
    if decision.reason != "passed" and not force:
        raise NotAdvanced(why)
    event: Event = "finish" if row.share == ALL else "advance"
    _move(row, event, why if decision.reason == "passed" else f"By hand: {why}", evidence, kept=kept, by=by)
    return row


@transaction.atomic
def roll_back(*, canary: Canary, by: str = "", note: str = "") -> Canary:
    """The base answers everybody within a second. Raises NoLiveCanary."""
    row, kept = _locked(canary)
    _move(row, "stop", f"By hand. {note}".strip(), from_json(kept.data), by=by)
    return row


@transaction.atomic
def pause(*, canary: Canary, by: str = "", note: str = "") -> Canary:
    """It keeps its share until ``resume``. Raises NotAdvanced if it is paused already, and NoLiveCanary."""
    return _by_hand(canary, "pause", by, note)


@transaction.atomic
def resume(*, canary: Canary, by: str = "", note: str = "") -> Canary:
    """What was seen meanwhile counts. Raises NotAdvanced unless it is paused, and NoLiveCanary."""
    return _by_hand(canary, "resume", by, note)


def _by_hand(canary: Canary, event: Event, by: str, note: str) -> Canary:
    row, kept = _locked(canary)
    if (_state(row), event) not in TABLE:
        raise NotAdvanced(f"The canary of {row} is {'paused already' if event == 'pause' else 'not paused'}.")
    _move(row, event, f"By hand. {note}".strip(), from_json(kept.data), by=by)
    return row


def verdict_on(canary: Canary, evidence: Evidence) -> tuple[Decision, str]:
    """What would be decided now, and why in words."""
    rules = rules_of(canary)
    decision = decide(evidence, rules, _state(canary), canary.share)
    return decision, sentence(decision, evidence, rules, canary.share)


def _locked(canary: Canary) -> tuple[Canary, CanaryEvidence]:
    row = Canary.objects.select_for_update(of=("self",)).select_related(*RELATED).get(pk=canary.pk)
    if not row.live:
        raise NoLiveCanary(row)
    return row, CanaryEvidence.objects.get(canary=row)


def _move(
    canary: Canary, event: Event, why: str, evidence: Evidence, *, kept: CanaryEvidence | None = None, by: str = ""
) -> None:
    before = (canary.state, canary.share)
    canary.state = Canary.State(TABLE[_state(canary), event])
    if event == "advance":
        canary.stage += 1
        assert kept is not None, "a stage is entered with its evidence"
        kept.data = to_json(next_stage(evidence))
        kept.save(update_fields=["data", "changed_at"])
    if not canary.live:
        canary.ended_at = timezone.now()
    canary.save(update_fields=["state", "stage", "ended_at"])
    if event == "finish":
        _take_over(canary)
    _record(canary, before, why, evidence, by)


def _record(canary: Canary, before: tuple[str, int], why: str, evidence: Evidence, by: str) -> None:
    share = ALL if canary.state == Canary.State.DONE else canary.share
    CanaryTransition.objects.create(
        canary=canary,
        from_state=before[0],
        to_state=canary.state,
        from_share=before[1],
        to_share=share,
        why=why[:600],
        evidence=figures(evidence, rules_of(canary)),
        by=by[:150],
    )


def _take_over(canary: Canary) -> None:
    """What was tried becomes what the route is: the policy's active version, or the first candidate (with a split, the
    one that takes all)."""
    version, deployment, route = canary.policy_version, canary.deployment, canary.route
    if version is not None:
        policy = version.policy
        activate(
            policy=policy, number=version.number, expected=policy.active_version, note=f"Canary {canary.pk} passed"
        )
    if deployment is not None:
        steps = [(step.deployment, step.share) for step in route.steps.select_related("deployment")]
        split = any(share is not None for _, share in steps)
        others = [(row, 0 if split else None) for row, _ in steps if row.pk != deployment.pk]
        save_route(route, candidates=[(deployment, ALL if split else None), *others])


def _keep(kept: CanaryEvidence, evidence: Evidence, share: int) -> None:
    calls = evidence.errors.candidate[0] + evidence.errors_alone.candidate[0]
    point: list[Any] = [calls, share, {name: round(value, 3) for name, value in evidence.log_es().items()}]
    curve = [one for one in kept.curve if one[0] < calls]
    kept.curve = [*(curve if len(curve) < MOST_POINTS else curve[::2]), point]
    kept.data = to_json(evidence)
    kept.save()


def _state(canary: Canary) -> Any:
    return str(canary.state)
