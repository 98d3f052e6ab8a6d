"""Strategies on their way through both shells: who is asked, what the trace shows of it, and what caches may share."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client

from conftest import eventually, unique
from routing.models import Deployment
from routing.tests.stage import BUCKETS, Stage
from routing.tests.upstream import refuses, says
from tenants.models import Membership, Tenant

SCORED = BUCKETS + "defaults: {lane: short, max_tokens: 64, cache: {exact: false}, strategy: scored}"
WEIGHTED = BUCKETS + "defaults: {lane: short, max_tokens: 64, cache: {exact: true}, strategy: weighted}"


def page_of(trace: Any, tenant: Tenant) -> str:
    person = get_user_model().objects.create_user(unique("viewer"), is_staff=True)
    Membership.objects.create(user=person, tenant=tenant, role=Membership.Role.VIEWER)
    client = Client()
    client.force_login(person)
    return client.get(f"/admin/traces/{trace.pk}/?tenant={tenant.slug}").content.decode()


def test_the_cheaper_is_asked_first_and_the_trace_says_what_would_have_chosen_the_other(
    base: str, stage: Stage
) -> None:
    model = stage.route(says("dear"), says("cheap"), policy=SCORED)
    Deployment.objects.filter(slug=f"{model}-1").update(price_in_microusd=100_000, price_out_microusd=200_000)

    def ask() -> Any:
        answer = stage.ask(base, model, "Refactor this code.")
        return answer if answer.headers["x-relay-model"] == f"{model}-1" else None

    answer: Any = eventually(ask)
    trace = stage.trace(answer)
    assert (trace.strategy, trace.task) == ("scored", "coding")
    assert trace.plan_json["environment"] == settings.RELAY_ENV
    assert "Refactor" not in f"{trace.plan_json}{trace.decision_trace_json}", "a viewer must not read the prompt there"
    first, second = trace.plan_json["candidates"]
    assert first["factors"]["cost"] > second["factors"]["cost"]
    page = page_of(trace, stage.tenant)
    assert f"<code>{model}-0</code> would have been first at a price below $0.1" in page
    assert "of 125" in page and "Words of the last message speak of coding." in page


def test_an_answer_of_one_arm_is_never_served_to_the_other(base: str, stage: Stage) -> None:
    model = stage.route(says("left"), says("right"), policy=WEIGHTED)
    traces = [stage.trace(stage.ask(base, model, "the same")) for _ in range(16)]
    assert {trace.cache for trace in traces} == {"miss", "exact"}
    for trace in traces:
        assert trace.deployment == trace.plan_json["arm"]
    assert len(stage.received(model, 0)) == len(stage.received(model, 1)) == 1


def test_the_stand_in_of_a_failing_arm_is_not_kept_for_it(base: str, stage: Stage) -> None:
    model = stage.route(refuses(500), says("stand-in"), policy=WEIGHTED)
    traces = [stage.trace(stage.ask(base, model, "the same")) for _ in range(16)]
    arms = {name: [one.cache for one in traces if one.plan_json["arm"] == f"{model}-{name}"] for name in (0, 1)}
    assert {trace.status for trace in traces} == {200}
    assert set(arms[0]) == {"miss"}
    assert arms[1].count("miss") == 1


def test_strengths_that_make_no_sense_count_as_not_stated(base: str, stage: Stage) -> None:
    model = stage.route(says("fine"), policy=SCORED, strengths={"coding": "very", "chat": 7, "speed": 0.5}, quality=999)
    answer = stage.ask(base, model, "Refactor this code.")
    assert answer.status_code == 200
    [candidate] = stage.trace(answer).plan_json["candidates"]
    assert (candidate["facts"]["strength"], candidate["facts"]["preference"]) == (0.5, 1)


def test_a_repeat_under_an_idempotency_key_gets_the_stand_ins_answer(base: str, stage: Stage) -> None:
    model = stage.route(refuses(500), says("stand-in"), policy=WEIGHTED)
    for number in range(6):
        headers = {"Idempotency-Key": unique(f"key-{number}")}
        first = stage.ask(base, model, f"question {number}", headers=headers)
        asked = len(stage.received(model, 1))
        again = stage.ask(base, model, f"question {number}", headers=headers)
        assert (again.headers["x-relay-cache"], again.text) == ("replay", first.text)
        assert len(stage.received(model, 1)) == asked
