"""Runs through a whole Relay: each prompt once whatever happens, figures as in the traces, and nobody else's view."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from django.core.exceptions import ValidationError
from django.db import connections
from django.utils import timezone
from django_tenants.utils import tenant_context

from conftest import Shells, eventually, unique
from evals import runs
from evals.core.metrics import figure
from evals.executing import execute
from evals.keys import key_of, open_door
from evals.models import Result, Run
from evals.tasks import execute_run, resume_runs
from evals.tests.rows import again, make_run, make_version
from routing.models import Policy
from routing.services import import_policy, save_draft
from routing.tests.stage import BUCKETS, CACHE, Stage
from routing.tests.upstream import Body, FakeProvider, Script, dies, hangs, in_turn, refuses, says
from tenants.models import ApiKey, Quota, Tenant
from traces.models import Trace

AS_BEFORE = [{"name": "similarity", "against": "baseline"}]
DRAFT = BUCKETS + "defaults: {lane: short, max_tokens: 7, cache: {exact: false}}"


@pytest.fixture(scope="module")
def stage(shells: Shells, workers: None, tenant_a: Any) -> Iterator[Stage]:
    with closing(FakeProvider()) as fake, closing(Stage(shells, fake, tenant_a)) as made:
        yield made


def carry(stage: Stage, run: Run) -> Run:
    assert execute(stage.tenant, run.pk, url=stage.shells.express)
    return again(stage.tenant, run)


def begun(stage: Stage, run: Run) -> threading.Thread:
    """A worker on a thread of its own."""

    def work() -> None:
        try:
            execute(stage.tenant, run.pk, url=stage.shells.express)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def results(stage: Stage, run: Run) -> list[Result]:
    with tenant_context(stage.tenant):
        return list(run.results.select_related("item").order_by("repetition", "item__row"))


def test_every_prompt_is_asked_and_its_result_is_that_of_its_trace(stage: Stage) -> None:
    model = stage.route(says("four ", "words ", "of ", "answer"))
    version = make_version(stage.tenant, *(f"question {number}" for number in range(20)), category="small talk")
    run = carry(stage, make_run(stage.tenant, version, model, repetitions=2))
    assert (run.state, run.error, run.expected) == (Run.State.DONE, "", 40)
    found = results(stage, run)
    assert [one.item.row for one in found] == [*range(1, 21)] * 2
    assert {one.answer for one in found} == {"four words of answer"}
    assert len(stage.received(model)) == 40
    assert len({(one.item_id, one.repetition) for one in found}) == 40
    with tenant_context(stage.tenant):
        for one in found:
            trace = Trace.objects.get(pk=str(one.trace_id))
            assert (one.latency_ms, one.ttft_ms, one.cost_microusd) == (
                trace.latency_ms,
                trace.ttft_ms,
                trace.cost_microusd,
            )
            assert (trace.api_key, one.deployment, one.cache) == (f"eval run {run.pk}", f"{model}-0", "off")
        answered = runs.answered(run)
    assert figure("cost", answered) == 5 + 2 * 7 and figure("error_rate", answered) == 0
    assert (figure("ttft_p50", answered) or 0) > 0 and answered[0].category == "small talk"


def test_a_draft_is_asked_and_live_traffic_does_not_get_it(stage: Stage) -> None:
    model = stage.route(says("answer"))
    save_draft(policy=Policy.objects.get(slug=model), text=DRAFT, base=1)
    run = carry(stage, make_run(stage.tenant, make_version(stage.tenant), model, policy_version=2))
    assert run.state == Run.State.DONE
    assert {one["max_tokens"] for one in stage.received(model)} == {7}
    assert stage.ask(stage.shells.express, model).headers["x-relay-policy"] == f"{model}@1"


def test_a_cache_of_its_own_begins_empty_and_serves_the_repetition(stage: Stage) -> None:
    model = stage.route(says("answer"), policy=CACHE)
    stage.ask(stage.shells.express, model, "one", stream=True)
    version = make_version(stage.tenant, "one", "two")
    made = [make_run(stage.tenant, version, model, repetitions=2, cache="own", concurrency=1) for _ in range(2)]
    for run in (carry(stage, one) for one in made):
        assert [one.cache for one in results(stage, run)] == ["miss", "miss", "exact", "exact"]


def test_the_key_of_a_run_ends_with_it_and_is_nobody_elses(stage: Stage, tenant_b: Tenant) -> None:
    run = make_run(stage.tenant, make_version(stage.tenant), stage.route(says("answer")))
    assert key_of(stage.tenant, run).text != key_of(tenant_b, run).text
    carry(stage, run)
    key = key_of(stage.tenant, run).text
    stage.in_both(lambda base: stage.models(base, key).status_code == 401)
    row = ApiKey.objects.get(tenant=stage.tenant, name=f"eval run {run.pk}")
    assert row.revoked_at and row.expires_at and row.scopes == ["chat", "models", "evals"]


def test_what_a_dead_worker_paid_for_is_not_paid_again(stage: Stage) -> None:
    """It had kept one result, had been answered two more, and left one in the middle."""
    model = stage.route(says("a ", "slow ", "answer", gap_s=0.1))
    run = make_run(stage.tenant, make_version(stage.tenant, *"abcdef"), model, concurrency=4)
    thread = begun(stage, run)
    with tenant_context(stage.tenant):
        eventually(lambda: len(stage.received(model)) >= 4)
        Run.objects.filter(pk=run.pk).update(worker="nobody")  # as if it had been taken over: it lets all go
        thread.join(30)
        kept = run.results.count()
        assert again(stage.tenant, run).state == Run.State.RUNNING and kept < 6
        assert runs.abandoned().count(run.pk) == 0, "it was heard of a moment ago"
        Run.objects.filter(pk=run.pk).update(beat_at=timezone.now() - timedelta(minutes=1))
        assert run.pk in runs.abandoned()
    assert carry(stage, run).state == Run.State.DONE
    found = results(stage, run)
    assert len(found) == len(stage.received(model)) == 6
    assert len({one.trace_id for one in found}) == 6
    assert {one.cost_microusd for one in found} == {19}, "an answer that was given again counts as what it was"
    with tenant_context(stage.tenant):
        charged = Trace.objects.filter(api_key=f"eval run {run.pk}", cost_microusd__gt=0)
        assert charged.count() == 6


def test_a_run_has_one_worker(stage: Stage) -> None:
    run = make_run(stage.tenant, make_version(stage.tenant), stage.route(says("answer")))
    with tenant_context(stage.tenant):
        assert runs.claim(run.pk, "one") is not None
        assert runs.claim(run.pk, "two") is None
        assert not runs.beat(run.pk, "two") and not runs.finish(run.pk, "two")
    assert execute_run(stage.tenant.slug, run.pk) is False
    assert execute_run(unique("nobody"), run.pk) is False


def test_a_candidate_and_its_new_baseline_ask_the_same_at_the_same_time(stage: Stage) -> None:
    model = stage.route(once_asked_by(2, says("answer")))
    save_draft(policy=Policy.objects.get(slug=model), text=DRAFT, base=1)
    version = make_version(stage.tenant)
    baseline = make_run(stage.tenant, version, model, concurrency=1)
    wanted: dict[str, Any] = {"policy_version": 2, "concurrency": 1, "baseline": baseline, "scorers": AS_BEFORE}
    run = carry(stage, make_run(stage.tenant, version, model, **wanted))
    assert {run.state, again(stage.tenant, baseline).state} == {Run.State.DONE}
    assert [one.outcome for one in results(stage, baseline) + results(stage, run)] == ["ok"] * 6
    assert [one.scores for one in results(stage, run)] == [{"similarity": 1.0}] * 3


def test_a_candidate_waits_for_its_baseline_and_takes_over_one_that_nobody_works_on(stage: Stage) -> None:
    model = stage.route(says("answer"))
    version = make_version(stage.tenant)
    baseline = make_run(stage.tenant, version, model)
    run = make_run(stage.tenant, version, model, baseline=baseline, scorers=AS_BEFORE)
    with tenant_context(stage.tenant):
        assert runs.claim(baseline.pk, "another worker") is not None
        thread = begun(stage, run)
        eventually(lambda: run.results.filter(traced=True).count() == 3)
        assert again(stage.tenant, run).state == Run.State.RUNNING and not baseline.results.exists()
        Run.objects.filter(pk=baseline.pk).update(beat_at=timezone.now() - timedelta(minutes=1))
    thread.join(60)
    assert {again(stage.tenant, one).state for one in (baseline, run)} == {Run.State.DONE}
    assert [one.scores for one in results(stage, run)] == [{"similarity": 1.0}] * 3


def once_asked_by(runs: int, script: Script) -> Script:
    """Answers a prompt when so many runs have asked it, each with a ``max_tokens`` of its own."""
    askers: defaultdict[str, set[int]] = defaultdict(set)
    enough: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def answer(request: web.Request, body: Body) -> web.StreamResponse:
        prompt = body["messages"][-1]["content"]
        askers[prompt].add(body["max_tokens"])
        if len(askers[prompt]) == runs:
            enough[prompt].set()
        await asyncio.wait_for(enough[prompt].wait(), 30)
        return await script(request, body)

    return answer


def test_a_run_that_is_cancelled_stops_and_keeps_what_it_has(stage: Stage) -> None:
    model = stage.route(in_turn([says("answer"), hangs("so ")]))
    run = make_run(stage.tenant, make_version(stage.tenant), model, concurrency=1)
    thread = begun(stage, run)
    with tenant_context(stage.tenant):
        eventually(lambda: run.results.exists())
        assert runs.cancel_run(run) and not runs.cancel_run(run)
    thread.join(30)
    assert not thread.is_alive() and again(stage.tenant, run).state == Run.State.CANCELLED
    assert len(results(stage, run)) == 1
    assert execute(stage.tenant, run.pk) is False


def test_failures_and_limits_are_results(stage: Stage) -> None:
    model = stage.route(in_turn([refuses(400), dies("half "), says("I'd rather not", finish="content_filter")]))
    run = carry(stage, make_run(stage.tenant, make_version(stage.tenant), model, concurrency=1))
    wrong, broken, refused = results(stage, run)
    assert (wrong.outcome, wrong.trace_id is not None) == ("failed", True) and wrong.error.startswith("400: ")
    assert broken.outcome == "failed" and broken.cost_microusd > 0, "what came is charged"
    assert refused.outcome == "refused"
    assert run.state == Run.State.DONE


def test_a_spent_quota_is_told_at_once(stage: Stage) -> None:
    run = make_run(stage.tenant, make_version(stage.tenant), stage.route(says("answer")), concurrency=1)
    with tenant_context(stage.tenant):
        open_door(stage.tenant, run)
    key = ApiKey.objects.get(tenant=stage.tenant, name=f"eval run {run.pk}")
    Quota.objects.create(tenant=stage.tenant, api_key=key, metric="requests", window="month", limit=1)
    stage.in_both(lambda base: stage.models(base, key_of(stage.tenant, run).text).status_code == 200)
    found = results(stage, carry(stage, run))
    assert [one.outcome for one in found] == ["ok", "limited", "limited"]


def test_a_relay_that_is_not_there(stage: Stage) -> None:
    run = make_run(stage.tenant, make_version(stage.tenant), stage.route(says("answer")))
    assert execute(stage.tenant, run.pk, url="http://127.0.0.1:9", patience_s=0.4)
    run = again(stage.tenant, run)
    assert run.state == Run.State.FAILED and "RELAY_EVAL_URL" in run.error


def test_a_policy_version_that_is_gone(stage: Stage) -> None:
    model = stage.route(says("answer"))
    policy = Policy.objects.get(slug=model)
    save_draft(policy=policy, text=DRAFT, base=1)
    run = make_run(stage.tenant, make_version(stage.tenant), model, policy_version=2)
    policy.versions.filter(number=2).delete()
    assert "no version 2" in carry(stage, run).error


def test_what_cannot_be_run_is_said_at_the_field(stage: Stage, tenant_b: Tenant) -> None:
    model, theirs = stage.route(says("answer")), stage.route(says("theirs"), tenant=tenant_b)
    version, other = make_version(stage.tenant), make_version(stage.tenant)
    baseline = make_run(stage.tenant, other, model)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("route", {"model": theirs, "policy": model}),
        ("policy", {"model": model, "policy": theirs}),
        ("policy", {"model": model, "policy_version": 9}),
        ("repetitions", {"model": model, "repetitions": 101}),
        ("concurrency", {"model": model, "concurrency": 0}),
        ("baseline", {"model": model, "baseline": baseline}),
    ]
    for field, wanted in wrong:
        with pytest.raises(ValidationError) as error:
            make_run(stage.tenant, version, **wanted)
        assert field in error.value.message_dict


def test_drafts_of_the_platform_are_for_its_staff(stage: Stage) -> None:
    model, slug = stage.route(says("answer")), unique("platform")
    import_policy(tenant=None, slug=slug, text=DRAFT, activated=True)
    save_draft(policy=Policy.objects.get(slug=slug), text=DRAFT, base=1)
    version = make_version(stage.tenant, "one")
    with pytest.raises(ValidationError) as error:
        make_run(stage.tenant, version, model, policy=slug, policy_version=2)
    assert "policy" in error.value.message_dict
    run = carry(stage, make_run(stage.tenant, version, model, policy=slug, policy_version=2, staff=True))
    assert run.state == Run.State.DONE, run.error


def test_abandoned_runs_of_all_tenants_are_offered_again(stage: Stage, tenant_b: Tenant) -> None:
    run = make_run(stage.tenant, make_version(stage.tenant), stage.route(says("answer")))
    with tenant_context(stage.tenant):
        Run.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    assert resume_runs() >= 1
    with tenant_context(stage.tenant):
        runs.cancel_run(run)
        assert run.pk not in runs.abandoned()
