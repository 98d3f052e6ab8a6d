"""Answers of a canary are scored: a bad candidate goes back for it, nobody else's answers are read, nothing is paid for
twice, and what cannot be scored keeps nothing from going on."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.utils import timezone

from conftest import Shells, SignIn, eventually, unique
from evals import tasks
from evals.canary_scores import MOST_TRIES, NOT_KEPT, score_canary
from evals.keys import judges_key_of
from routing.canaries import look_at_all, roll_back, start_canary
from routing.canary_report import report_of
from routing.canary_scores import MOST_PAIRS, Wanted, make_pairs, with_work
from routing.core.canary import Call
from routing.models import Canary, CanaryCall, CanaryPair, CanaryScoring, Deployment, Route
from routing.services import save_route
from routing.tests.stage import Stage
from routing.tests.upstream import Body, FakeProvider, Script, completion, refuses, says
from tenants.models import ApiKey, Tenant
from traces.tests.rows import make_trace

pytestmark = pytest.mark.usefixtures("committed")
GOOD, BAD = "A good answer.", "Rubbish."


@pytest.fixture(scope="module")
def stage(shells: Shells, tenant_a: Tenant) -> Iterator[Stage]:
    with closing(FakeProvider()) as fake, closing(Stage(shells, fake, tenant_a)) as made:
        yield made


def grades() -> Script:
    """5 of 5 to what is good, 1 to all else."""

    async def script(request: web.Request, body: Body) -> web.StreamResponse:
        return web.json_response(completion(f"GRADE: {5 if GOOD in body['messages'][-1]['content'] else 1}"))

    return script


class Scored:
    """A canary on a route of the stage whose answers are scored, by a judge unless another scorer is named."""

    def __init__(self, stage: Stage, scorer: str = "", *, judge: Script | None = None, **wanted: Any) -> None:
        self.stage, self.model = stage, stage.route(says(GOOD))
        self.judge = stage.route(judge or grades())
        self.route = Route.objects.get(name=self.model)
        slug = f"{self.model}-new"
        stage.fake.scripts[slug] = says(BAD)
        candidate = Deployment.objects.create(slug=slug, provider=stage.deployment(self.model).provider, model=slug)
        scores = Wanted(scorer or f"judge:route={self.judge}", **{"percent": 100, "daily": 1_000, **wanted})
        self.canary = start_canary(route=self.route, candidate=candidate, stages=[50], window=10_000, scores=scores)

    def pair(self, tenant: Tenant, ours: Any = BAD, theirs: Any = GOOD, **asked: Any) -> CanaryPair:
        """Of two traces of that tenant; an answer of None was not kept."""
        candidate, base = (self._trace(tenant, said, asked) for said in (ours, theirs))
        return CanaryPair.objects.create(canary=self.canary, candidate_trace=candidate, base_trace=base)

    def _trace(self, tenant: Tenant, said: str | None, asked: dict[str, Any]) -> UUID:
        body = {"messages": [{"role": "user", "content": "What?"}], **asked}
        kept = {"request_json": None} if said is None else {"request_json": body, "response_json": completion(said)}
        return make_trace(tenant, route=self.model, **kept).pk

    def score(self) -> int:
        """One pass, whatever pause there is."""
        CanaryScoring.objects.filter(canary=self.canary).update(not_before=None)
        return score_canary(self.canary.pk, url=self.stage.shells.express)

    def open(self) -> None:
        """The first pass makes the judge's key."""
        assert self.score() == 0
        key = judges_key_of(self.stage.tenant, self.canary).text
        eventually(lambda: self.stage.models(self.stage.shells.express, key).status_code == 200)

    def told(self) -> Any:
        return report_of(Canary.objects.get(pk=self.canary.pk))


def test_a_candidate_that_answers_badly_is_rolled_back_for_its_score(stage: Stage, sign_in: SignIn) -> None:
    scored = Scored(stage)
    canary, asked = scored.canary, 0
    scored.open()

    def rolled_back() -> bool:
        nonlocal asked
        for _ in range(20):
            asked += 1
            assert stage.ask(stage.shells.express, scored.model, f"question {asked} {scored.model}").status_code == 200
        call_command("trace_writer", "--once", verbosity=0)
        look_at_all()
        scored.score()
        look_at_all()
        canary.refresh_from_db()
        return canary.state == "rolled_back"

    eventually(rolled_back, within_s=120)
    call_command("trace_writer", "--once", verbosity=0)
    last = canary.transitions.latest("at")
    assert (
        last.why.startswith("It answers worse: score 0.00 against the base's 1.00 in ") and "decisive from" in last.why
    )
    told = scored.told()
    pairs = told["evidence"]["score"]["pairs"]
    assert told["evidence"]["score"]["gap"] == 1 and told["evidence"]["score"]["low"] > 0.05
    questions = len(stage.received(scored.judge))
    assert 2 * pairs <= questions == 2 * CanaryPair.objects.filter(canary=canary).exclude(state="waiting").count()
    assert told["scoring"]["cost_microusd"] == questions * (5 + 2 * 7)
    page = sign_in("viewer", stage.tenant).get(f"/admin/routing/canary/{canary.pk}/change/").content.decode()
    assert "Scores of answers" in page and "−1.00" in page and "The judge has cost" in page
    key = ApiKey.objects.get(name=f"judge of canary {canary.pk}")
    assert key.tenant == stage.tenant and key.revoked_at is None and canary.pk in with_work()
    scored.score()
    key.refresh_from_db()
    assert key.revoked_at is not None and canary.pk not in with_work(), "the judge's key ends with the canary"


def test_answers_of_another_tenant_are_never_scored(stage: Stage, tenant_b: Tenant) -> None:
    scored = Scored(stage)
    scored.open()
    theirs, ours = scored.pair(tenant_b), scored.pair(stage.tenant)
    assert scored.score() == 1
    for row in (theirs, ours):
        row.refresh_from_db()
    assert (theirs.state, theirs.candidate_score, theirs.base_score) == ("void", None, None)
    assert (ours.state, ours.candidate_score, ours.base_score) == ("scored", 0, 1)
    assert len(stage.received(scored.judge)) == 2 and scored.told()["scoring"]["void"] == 1


def test_what_was_paid_for_before_a_worker_died_is_not_paid_again(stage: Stage) -> None:
    scored = Scored(stage)
    scored.open()
    pair = scored.pair(stage.tenant)
    assert scored.score() == 1 and scored.score() == 0
    CanaryPair.objects.filter(pk=pair.pk).update(state="waiting", candidate_score=None)  # died before it was kept
    assert scored.score() == 1
    pair.refresh_from_db()
    assert (pair.candidate_score, pair.base_score) == (0, 1)
    assert len(stage.received(scored.judge)) == 2
    scored.pair(stage.tenant)
    CanaryScoring.objects.filter(canary=scored.canary).update(not_before=timezone.now() + timedelta(seconds=60))
    assert score_canary(scored.canary.pk) == 0 and scored.canary.pk not in with_work(), "another worker is at it"


def test_a_judge_that_is_away_is_asked_again_and_the_rest_goes_on(stage: Stage) -> None:
    scored = Scored(stage, judge=refuses(400))
    scored.open()
    pair, canary = scored.pair(stage.tenant), scored.canary
    assert scored.score() == 0
    pair.refresh_from_db()
    assert (pair.state, pair.tries, pair.candidate_score) == ("waiting", 1, None)
    assert scored.told()["scoring"]["problem"].startswith("The judge could not be asked: 400, ")
    assert canary.pk not in with_work(), "it is given time"
    Canary.objects.filter(pk=canary.pk).update(window=20)
    for candidate in (True, False) * 40:
        CanaryCall.objects.create(canary_id=canary.pk, candidate=candidate, failed=False, latency_ms=20)
    look_at_all()
    canary.refresh_from_db()
    assert canary.share == 100, "missing scores keep no stage waiting"
    stage.fake.scripts[f"{scored.judge}-0"] = grades()
    assert scored.score() == 1 and scored.told()["scoring"]["problem"] is None
    never = scored.pair(stage.tenant)
    CanaryPair.objects.filter(pk=never.pk).update(tries=MOST_TRIES - 1)
    stage.fake.scripts[f"{scored.judge}-0"] = refuses(400)
    scored.score()
    never.refresh_from_db()
    assert never.state == "void", "after so many tries it goes without"


def test_rules_score_without_a_judge(stage: Stage) -> None:
    scored = Scored(stage, "json_schema")
    wanted = {"response_format": {"type": "json_object"}}
    pair = scored.pair(stage.tenant, "no JSON", '{"a": 1}', **wanted)
    unnamed, gone = scored.pair(stage.tenant), scored.pair(stage.tenant, None)
    assert scored.score() == 1
    for row in (pair, unnamed, gone):
        row.refresh_from_db()
    assert (pair.candidate_score, pair.base_score) == (0, 1)
    assert (unnamed.state, gone.state) == ("void", "void")
    told = scored.told()["scoring"]
    assert (told["problem"], told["cost_microusd"], told["void"]) == (NOT_KEPT, 0, 2)


def test_a_scorer_that_is_not_allowed_any_more_says_so(stage: Stage, settings: Any) -> None:
    settings.RELAY_EVAL_SCORERS = ["evals.tests.own_examples"]
    scored = Scored(stage, "custom:path=evals.tests.own_examples.shortness")
    scored.pair(stage.tenant, "ab", "a")
    assert scored.score() == 1
    scored.pair(stage.tenant)
    settings.RELAY_EVAL_SCORERS = []
    assert scored.score() == 0
    assert scored.told()["scoring"]["problem"].startswith("The scorer is not there any more.")


def test_no_more_pairs_a_day_than_allowed_and_a_stage_may_need_some(stage: Stage) -> None:
    scored = Scored(stage, "json_schema", daily=3, least_pairs=5)
    calls = [Call(bool(number % 2), False, trace=UUID(int=number)) for number in range(12)]
    make_pairs(scored.canary.scoring, calls, timezone.now())
    assert CanaryPair.objects.filter(canary=scored.canary).count() == 3
    make_pairs(scored.canary.scoring, [Call(bool(n % 2), False, trace=UUID(int=n)) for n in (20, 21)], timezone.now())
    assert CanaryPair.objects.filter(canary=scored.canary).count() == 3
    tomorrow = timezone.now() + timedelta(days=1)
    make_pairs(scored.canary.scoring, [Call(bool(n % 2), False, trace=UUID(int=n)) for n in (30, 31)], tomorrow)
    assert CanaryPair.objects.filter(canary=scored.canary).count() == 4
    Canary.objects.filter(pk=scored.canary.pk).update(window=20)
    for candidate in (True, False) * 40:
        CanaryCall.objects.create(canary_id=scored.canary.pk, candidate=candidate, failed=False, latency_ms=20)
    look_at_all()
    assert scored.told()["next"] == "The stage needs 5 pairs of scored answers; it has 0."
    CanaryPair.objects.filter(canary=scored.canary).update(state="scored", candidate_score=1, base_score=1)
    scored_more = [
        CanaryPair(
            canary=scored.canary,
            state="scored",
            candidate_trace=UUID(int=100 + n),
            base_trace=UUID(int=200 + n),
            candidate_score=1,
            base_score=1,
        )
        for n in range(2)
    ]
    CanaryPair.objects.bulk_create(scored_more)
    look_at_all()
    look_at_all()
    assert scored.told()["share"] == 100 and len(scored_more) < MOST_PAIRS
    assert scored.told()["evidence"]["score"]["pairs"] == 6, "each counts once"


def test_a_tenant_that_keeps_no_words_is_told_why_there_is_no_score(
    stage: Stage, tenant_c: Tenant, sign_in: SignIn
) -> None:
    model = stage.route(says(GOOD), tenant=tenant_c)
    judge = stage.route(grades(), tenant=tenant_c)
    candidate = Deployment.objects.create(
        slug=unique("new"), provider=stage.deployment(model).provider, model=unique("m")
    )
    canary = start_canary(
        route=Route.objects.get(name=model), candidate=candidate, stages=[50], scores=Wanted(f"judge:route={judge}")
    )

    def called() -> bool:
        stage.ask(stage.shells.express, model, unique("hello"), key=stage.key(tenant_c))
        call_command("trace_writer", "--once", verbosity=0)
        return CanaryCall.objects.filter(canary_id=canary.pk).exists()

    eventually(called)
    page = sign_in("viewer", tenant_c).get(f"/admin/routing/canary/{canary.pk}/change/").content.decode()
    assert "keeps metadata only: without prompts and answers" in page
    assert not CanaryCall.objects.filter(canary_id=canary.pk).exclude(trace_id=None).exists()
    look_at_all()
    assert not CanaryPair.objects.filter(canary=canary).exists()


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        ("exact", "needs a reference answer"),
        ("similarity", "needs a reference answer"),
        ("judge:route={judge}:against=reference", "needs a reference answer"),
        ("judge:route=nowhere", "no enabled route “nowhere”"),
        ("judge:route={model}", "another model must judge"),
        ("judge:route={alias}", "another model must judge"),
        ("judge", "must be given"),
        ("custom:path=os.system", "RELAY_EVAL_SCORERS"),
        ("json_schema, judge:route={judge}", "Name one scorer"),
        ("bananas", "there is no scorer"),
    ],
)
def test_what_cannot_score_is_said_at_its_field(tried: dict[str, Any], scorer: str, said: str) -> None:
    words = scorer.format(**tried["names"])
    with pytest.raises(ValidationError) as refused:
        start_canary(route=tried["route"], candidate=tried["candidate"], stages=[50], scores=Wanted(words))
    assert said in refused.value.message_dict["scorer"][0]
    assert not Canary.objects.filter(route=tried["route"]).exists()


@pytest.fixture(scope="module")
def tried(stage: Stage) -> dict[str, Any]:
    model, judge = stage.route(says(GOOD)), stage.route(grades())
    provider = stage.deployment(model).provider
    candidate = Deployment.objects.create(slug=unique("new"), provider=provider, model="new")
    names = {"model": model, "judge": judge, "alias": stage.alias(model)}
    return {"names": names, "route": Route.objects.get(name=model), "candidate": candidate}


def test_the_form_says_what_is_wrong_and_starts_what_is_right(
    stage: Stage, tried: dict[str, Any], sign_in: SignIn
) -> None:
    admin, route = sign_in("admin"), tried["route"]
    wanted = {"route": route.pk, "candidate": f"deployment-{tried['candidate'].pk}", "sticky": "key", "stages": "50"}
    wanted |= {"window": 9, "score_percent": 20, "score_daily": 7, "score_tolerance": 0.1, "score_least_pairs": ""}
    save_route(route, candidates=[(stage.deployment(route.name), None), (tried["candidate"], None)])
    refused = admin.post("/admin/routing/canary/add/", {**wanted, "scorer": "exact"}).content.decode()
    assert "needs a reference answer" in refused and not Canary.objects.filter(route=route).exists()
    admin.post("/admin/routing/canary/add/", {**wanted, "scorer": f"judge:route={tried['names']['judge']}"})
    canary = Canary.objects.get(route=route)
    scoring = canary.scoring
    assert (scoring.percent, scoring.daily, scoring.tolerance, scoring.least_pairs) == (20, 7, 0.1, 0)
    assert scoring.scorer == {"name": "judge", "route": tried["names"]["judge"], "against": "nothing"}
    page = admin.get(f"/admin/routing/canary/{canary.pk}/change/").content.decode()
    assert "No pair is scored yet" in page and "at most 7 pairs a day" in page
    roll_back(canary=canary)


def test_a_route_of_the_platform_has_no_scores(stage: Stage, tried: dict[str, Any]) -> None:
    route = Route.objects.filter(tenant=None, alias_of=None, enabled=True, steps__deployment__serves="chat").first()
    assert route is not None
    with pytest.raises(ValidationError) as refused:
        start_canary(route=route, candidate=tried["candidate"], scores=Wanted("json_schema"))
    assert "only a tenant's own route" in refused.value.message_dict["scorer"][0]


def test_work_is_given_to_workers(stage: Stage) -> None:
    scored = Scored(stage, "json_schema")
    assert scored.canary.pk not in with_work()
    scored.pair(stage.tenant, "no JSON", "{}", response_format={"type": "json_object"})
    assert with_work().count(scored.canary.pk) == 1
    assert tasks.score_canaries() >= 1
    assert tasks.score_canary(scored.canary.pk) == 1 and scored.canary.pk not in with_work()
