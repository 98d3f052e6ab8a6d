"""Quotas, lanes and live edits under many requests at once, and that no tenant meets another's."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from django_tenants.utils import tenant_context

from conftest import eventually, unique
from routing.services import activate, save_draft
from routing.tests.stage import CACHE, NO_CACHE, Stage
from routing.tests.upstream import says
from tenants.models import Tenant
from tenants.services import create_tenant
from traces.models import Trace


def _at_once(asks: list[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(30) as pool:
        return [one.result() for one in [pool.submit(ask) for ask in asks]]


def test_a_hard_quota_is_exact_over_all_processes(stage: Stage) -> None:
    """Sixty at once through two servers, where twenty a day are allowed."""
    model = stage.route(says("counted"), capacity=64)
    _, key = stage.new_key(quota={"metric": "requests", "window": "day", "limit": 20})
    bases = [stage.shells.express, stage.shells.drf] * 30
    answers = _at_once([lambda base=base: stage.ask(base, model, key=key) for base in bases])  # type: ignore[misc]
    good = [one for one in answers if one.status_code == 200]
    refused = [one for one in answers if one.status_code == 429]
    assert (len(good), len(refused), len(stage.received(model))) == (20, 40, 20)
    assert {one.headers["x-ratelimit-limit-requests"] for one in good} == {"20"}
    assert sorted(int(one.headers["x-ratelimit-remaining-requests"]) for one in good) == list(range(20))
    for one in refused:
        assert one.json()["error"]["code"] == one.json()["error"]["type"] == "insufficient_quota"
        assert one.headers["x-should-retry"] == "false" and int(one.headers["retry-after"]) >= 1
    assert stage.trace(refused[0]).outcome == "limited"


def test_openais_client_does_not_retry_what_is_spent(base: str, stage: Stage) -> None:
    model = stage.route(says("counted"))
    row, key = stage.new_key(quota={"metric": "tokens", "window": "month", "limit": 1})
    messages: list[Any] = [{"role": "user", "content": "hello"}]
    with (
        openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=3) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.chat.completions.create(model=model, messages=messages)
    assert caught.value.code == "insufficient_quota"
    stage.trace_by(api_key=row.name)
    with tenant_context(stage.tenant):
        assert Trace.objects.filter(api_key=row.name).count() == 1


def test_tokens_are_held_by_estimate_and_settled_by_use(base: str, stage: Stage) -> None:
    model = stage.route(says("short"))
    _, key = stage.new_key(quota={"metric": "tokens", "window": "month", "limit": 1000})
    first, second = stage.ask(base, model, key=key), stage.ask(base, model, key=key)
    held = 1000 - int(first.headers["x-ratelimit-remaining-tokens"])
    assert held > 64, "the most that the answer may have"
    assert int(second.headers["x-ratelimit-remaining-tokens"]) == 1000 - 12 - held, "of the first, what it used"


def test_a_soft_quota_only_warns(base: str, stage: Stage) -> None:
    model = stage.route(says("still"))
    _, key = stage.new_key(quota={"metric": "requests", "window": "month", "limit": 1, "hard": False})
    answers = [stage.ask(base, model, key=key) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[1].headers["x-ratelimit-remaining-requests"] == "0"
    steps = stage.trace(answers[1]).decision_trace_json
    assert [one["outcome"] for one in steps if one["step"] == "quota"] == ["over"]


def test_thirty_at_once_wait_for_two_slots(base: str, stage: Stage) -> None:
    model = stage.route(says("my turn", gap_s=0.03), capacity=2)
    answers = _at_once([lambda: stage.ask(base, model)] * 30)
    assert {one.status_code for one in answers} <= {200, 429}
    assert all(int(one.headers["retry-after"]) >= 1 for one in answers if one.status_code == 429)
    assert sum(one.status_code == 200 for one in answers) >= 10
    assert stage.fake.peak[f"{model}-0"] <= 2
    traces = [stage.trace(one) for one in answers]
    assert all(one.queue_wait_ms is not None and one.scheduler_json["decided_by"] for one in traces)
    assert max(one.queue_wait_ms or 0 for one in traces) > 30
    assert {one.outcome for one in traces} <= {"ok", "limited"}


def test_a_policy_edit_is_used_within_a_second(stage: Stage) -> None:
    model = stage.route(says("hello"))
    policy = stage.tenant.policies.get(slug=model)
    save_draft(policy=policy, text=NO_CACHE.replace("max_tokens: 64", "max_tokens: 32"), base=1)
    activate(policy=policy, number=2, expected=1)
    stage.in_both(lambda at: stage.ask(at, model).headers["x-relay-policy"] == f"{model}@2", within_s=10)
    assert stage.received(model)[-1]["max_tokens"] == 32


def test_a_tenants_route_is_nobody_elses(base: str, stage: Stage, tenant_b: Tenant) -> None:
    model = stage.route(says("for globex only"), tenant=tenant_b, policy=CACHE)
    assert model in stage.models(base, stage.key(tenant_b)).text
    assert model not in stage.models(base, stage.key()).text
    theirs, nothing = stage.ask(base, model), stage.ask(base, "nothing")
    assert theirs.status_code == nothing.status_code == 404
    assert theirs.text.replace(model, "nothing") == nothing.text
    assert not stage.received(model)


def test_a_name_that_two_tenants_use_means_each_ones_own(base: str, stage: Stage, tenant_b: Tenant) -> None:
    ours, theirs = stage.route(says("ours")), stage.route(says("theirs"), tenant=tenant_b)
    tenant_b.routes.filter(name=theirs).update(name=ours)
    stage.in_both(lambda at: ours in stage.models(at, stage.key(tenant_b)).text)
    assert "ours" in stage.ask(base, ours).text
    answer = stage.ask(base, ours, key=stage.key(tenant_b))
    assert "theirs" in answer.text and answer.headers["x-relay-policy"] == f"{theirs}@1"


def test_interleaved_requests_are_recorded_with_their_own_tenant_only(stage: Stage, committed: None) -> None:
    tenants = [create_tenant(slug=unique("many")) for _ in range(5)]
    models = {tenant.slug: stage.route(says(tenant.slug), tenant=tenant, capacity=32) for tenant in tenants}
    keys = {tenant.slug: stage.key(tenant) for tenant in tenants}
    sent = [(slug, f"{slug}.{number}", base) for number in range(4) for slug in models for base in _both(stage)]

    def ask(slug: str, request_id: str, base: str) -> Any:
        return stage.ask(base, models[slug], request_id, key=keys[slug], headers={"X-Request-ID": request_id})

    answers = _at_once([lambda one=one: ask(*one) for one in sent])  # type: ignore[misc]
    for (slug, _, _), answer in zip(sent, answers, strict=True):
        assert answer.json()["choices"][0]["message"]["content"] == slug
    for tenant in tenants:
        with tenant_context(tenant):
            eventually(lambda: Trace.objects.count() == 8)
            assert all(one.startswith(tenant.slug + ".") for one in Trace.objects.values_list("request_id", flat=True))
            assert {one.prompt_line for one in Trace.objects.all()} == {f"{tenant.slug}.{n}" for n in range(4)}


def _both(stage: Stage) -> tuple[str, str]:
    return stage.shells.express, stage.shells.drf
