"""Scores of the answers of a live canary, pair by pair, from what the traces of the route's tenant hold.

A pass is short, and one at a time for each canary: it takes the canary's ``not_before``, so what a dead worker left is
taken up after LEASE. A judge's questions have the trace in their Idempotency-Keys: an answer that was paid for before a
worker died is given again. Pairs are scored one after the other, as they were made: side by side, those that are judged
quickly would come first, and these might be the bad ones.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import monotonic
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now
from django_tenants.utils import tenant_context

from evals.canary_scorers import scorer_of
from evals.core.case import Case, Score
from evals.core.judging import AWAY
from evals.core.scorers import BadScorers
from evals.core.traced import case_of
from evals.judge import Judge
from evals.keys import close_door, judges_key_of, open_judges_door
from evals.scoring import score_here
from routing.models import Canary, CanaryPair, CanaryScoring
from routing.shadows.copying import said_in
from tenants.models import Tenant
from traces.models import Trace

PASS_S = 45.0  # then the next pass goes on
LEASE = timedelta(seconds=120)  # above a pass with its last pair
PAUSE = timedelta(seconds=60)  # for a judge that could not be asked
AT_ONCE = 200  # pairs of a pass
MOST_TRIES = 10  # in which the judge could not be asked; then a pair goes without
NOT_KEPT = "The words of an answer were gone before it could be scored."
NO_SCORE = {
    "judge": "A reply of the judge could not be read.",
    "json_schema": "A client named no JSON schema (response_format), or one that is not evaluated here.",
    "custom": "The scorer had nothing to say of an answer.",
}
ARMS = (("candidate_score", "candidate_trace"), ("base_score", "base_trace"))

Cases = Mapping[UUID, Case]
Scores = Mapping[UUID, Score]


@dataclass(slots=True)
class Done:
    """What a pass did. ``problem``: what stood in the way last; it quotes no answer."""

    scored: int = 0
    problem: str = ""
    away: bool = False


def score_canary(pk: int, *, url: str = "") -> int:
    """How many pairs were scored; 0 also where another worker is at it. ``url``: of Relay (default: RELAY_EVAL_URL)."""
    mine = CanaryScoring.objects.filter(canary=pk)
    if not mine.filter(Q(not_before=None) | Q(not_before__lte=Now())).update(not_before=Now() + LEASE):
        return 0
    canary = Canary.objects.select_related("scoring", "route__tenant").get(pk=pk)
    tenant = canary.route.tenant
    if tenant is None or not canary.live:
        close_door(canary.scoring.key_id)
        return 0
    done = _pass(tenant, canary, url or settings.RELAY_EVAL_URL)
    mine.update(not_before=Now() + (PAUSE if done.away else timedelta()), problem=done.problem[:300])
    return done.scored


def _pass(tenant: Tenant, canary: Canary, url: str) -> Done:
    try:
        scorer = scorer_of(canary.scoring.scorer)
    except BadScorers as problem:
        return Done(problem=f"The scorer is not there any more. {problem}", away=True)
    if scorer.kind != "judge":
        return _score_pairs(
            tenant, canary, lambda cases: {trace: score_here(scorer, case) for trace, case in cases.items()}
        )
    if not open_judges_door(tenant, canary):
        return Done()  # the next pass has it
    about = f"judge/canary {canary.pk}/{int(canary.started_at.timestamp())}"
    judge = Judge(scorer, url=url, key=judges_key_of(tenant, canary).text, about=about)
    with asyncio.Runner() as runner:
        try:
            return _score_pairs(tenant, canary, partial(_judged, runner, judge))
        finally:
            runner.run(judge.close())


def _judged(runner: asyncio.Runner, judge: Judge, cases: Cases) -> Scores:
    async def asked() -> Scores:
        said = await asyncio.gather(*(judge.judge(str(trace), case) for trace, case in cases.items()))
        return {trace: score for trace, (score, _) in zip(cases, said, strict=True)}

    return runner.run(asyncio.wait_for(asked(), PASS_S))


def _score_pairs(tenant: Tenant, canary: Canary, ask: Callable[[Cases], Scores]) -> Done:
    """Those that were tried least come first, so that a few which cannot be judged keep nobody waiting."""
    done, until = Done(), monotonic() + PASS_S
    waiting = CanaryPair.objects.filter(canary=canary, state=CanaryPair.State.WAITING).order_by("tries", "pk")
    for pair in waiting[:AT_ONCE]:
        if monotonic() > until:
            break
        try:
            _score_pair(tenant, canary.scoring.scorer["name"], pair, ask, done)
        except TimeoutError:  # its answer is made all the same, and given to the next pass
            break
    return done


def _score_pair(tenant: Tenant, kind: str, pair: CanaryPair, ask: Callable[[Cases], Scores], done: Done) -> None:
    open_arms = {getattr(pair, trace): name for name, trace in ARMS if getattr(pair, name) is None}
    cases = _cases(tenant, list(open_arms))
    if len(cases) < len(open_arms):
        done.problem = NOT_KEPT
        _end(pair, CanaryPair.State.VOID)
        return
    scores = ask(cases)
    known = {open_arms[trace]: score.value for trace, score in scores.items() if score.value is not None}
    silent = [score.why for score in scores.values() if score.value is None]
    away = next((why for why in silent if why.startswith(AWAY)), "")
    if not silent:
        done.scored += 1
        _end(pair, CanaryPair.State.SCORED, **known)
    elif away and pair.tries + 1 < MOST_TRIES:
        done.problem, done.away = away, True
        _end(pair, CanaryPair.State.WAITING, **known, tries=pair.tries + 1)
    else:
        done.problem = away or NO_SCORE[kind]
        _end(pair, CanaryPair.State.VOID, **known)


def _end(pair: CanaryPair, state: CanaryPair.State, **values: float) -> None:
    CanaryPair.objects.filter(pk=pair.pk, state=CanaryPair.State.WAITING).update(state=state, **values)


def _cases(tenant: Tenant, traces: Sequence[UUID]) -> dict[UUID, Case]:
    """Only from the schema of the route's tenant, whatever a pair names; those that are gone are not among them."""
    with tenant_context(tenant):
        rows = Trace.objects.filter(pk__in=traces).values_list("pk", "request_json", "response_json", "task")
        found = [(pk, case_of(asked, said_in(answer), task)) for pk, asked, answer, task in rows]
    return {pk: case for pk, case in found if case is not None}
