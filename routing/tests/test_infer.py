"""POST /v1/infer: a prompt in, a text and how it was made out. Each case through both shells."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from conftest import unique
from routing.models import Deployment, Route
from routing.services import import_policy
from routing.tests.stage import BUCKETS, CACHE, NO_CACHE, Stage
from routing.tests.upstream import refuses, says
from tenants.models import Tenant


@pytest.fixture(scope="module")
def model(stage: Stage) -> str:
    return stage.route(says("the answer"))


def test_a_prompt_is_answered(base: str, stage: Stage, model: str) -> None:
    answer = stage.post(base, "infer", model=model, prompt="hello", max_tokens=9)
    told = answer.json()
    assert (answer.status_code, told["text"], told["model"]) == (200, "the answer", f"{model}-0")
    assert told["provider"].startswith("fake-") and told["latency_ms"] > 0
    assert told["cost"] == (5 + 2 * 7) / 1_000_000
    assert told["usage"] == {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    assert told["trace_id"] == answer.headers["x-relay-trace-id"]
    received = stage.received(model)[-1]
    assert received == {
        "model": f"{model}-0",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 9,
    }
    trace = stage.trace(answer)
    assert (trace.endpoint, trace.outcome, trace.prompt_line) == ("infer", "ok", "hello")
    assert trace.request_json == {"model": model, "prompt": "hello", "max_tokens": 9}


def test_the_same_prompt_is_answered_from_the_cache(base: str, stage: Stage) -> None:
    model = stage.route(says("once"), policy=CACHE)
    first, second = (stage.post(base, "infer", model=model, prompt="hello") for _ in range(2))
    assert [one.headers["x-relay-cache"] for one in (first, second)] == ["miss", "exact"]
    told = second.json()
    assert (told["text"], told["cost"], told["provider"], told["model"]) == ("once", 0, "cache", f"{model}-0")
    assert told["trace_id"] == second.headers["x-relay-trace-id"] != first.json()["trace_id"]


def test_the_next_provider_answers_when_one_fails(base: str, stage: Stage) -> None:
    model = stage.route(refuses(500), says("from the next"))
    answer = stage.post(base, "infer", model=model, prompt="hello")
    assert (answer.json()["text"], answer.json()["model"]) == ("from the next", f"{model}-1")
    assert stage.trace(answer).outcome == "fell_back"


def test_a_quota_holds_for_it(base: str, stage: Stage, model: str) -> None:
    _, key = stage.new_key(quota={"metric": "requests", "window": "day", "limit": 1})
    answers = [stage.post(base, "infer", key=key, model=model, prompt="hello") for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 429]


def test_a_strategy_may_be_named_for_the_routes_own_policy(base: str, stage: Stage) -> None:
    model = stage.route(says("dear"), says("cheap"))
    Deployment.objects.filter(slug=f"{model}-1").update(price_in_microusd=0, price_out_microusd=0)
    stage.route(says("a later change"))  # and so the earlier one is known, too
    answer = stage.post(base, "infer", model=model, prompt="hello", policy="cheapest")
    assert answer.json()["text"] == "cheap"
    trace = stage.trace(answer)
    assert (trace.strategy, trace.policy) == ("cheapest", model)
    assert stage.post(base, "infer", model=model, prompt="hello").json()["text"] == "dear"


def test_a_policy_may_be_named(base: str, stage: Stage, model: str) -> None:
    own = unique("brief")
    text = BUCKETS + "defaults: {lane: short, max_tokens: 5, cache: {exact: false}}"
    import_policy(tenant=stage.tenant, slug=own, text=text, activated=True)
    stage.in_both(lambda at: stage.post(at, "infer", model=model, prompt="x", policy=own).status_code == 200)
    answer = stage.post(base, "infer", model=model, prompt="hello", policy=own)
    assert answer.headers["x-relay-policy"] == f"{own}@1"
    assert stage.received(model)[-1]["max_tokens"] == 5
    demo = stage.post(base, "infer", model=model, prompt="hello", policy="demo")
    assert demo.headers["x-relay-policy"].startswith("demo@"), "the platform's"


def test_another_tenants_policy_is_the_same_as_none(base: str, stage: Stage, model: str, tenant_b: Tenant) -> None:
    theirs = stage.route(says("x"), tenant=tenant_b)  # with a policy of its name
    hidden, nothing = (
        stage.post(base, "infer", model=model, prompt="hello", policy=policy) for policy in (theirs, "nothing")
    )
    assert hidden.status_code == nothing.status_code == 404
    assert hidden.text.replace(theirs, "nothing") == nothing.text
    assert (nothing.json()["error"]["param"], nothing.json()["error"]["code"]) == ("policy", "policy_not_found")


def test_another_tenants_model_is_the_same_as_none(base: str, stage: Stage, tenant_b: Tenant) -> None:
    theirs = stage.route(says("x"), tenant=tenant_b)
    hidden, nothing = (stage.post(base, "infer", model=model, prompt="hello") for model in (theirs, "nothing"))
    assert hidden.status_code == nothing.status_code == 404
    assert hidden.text.replace(theirs, "nothing") == nothing.text
    assert not stage.received(theirs)


@pytest.fixture
def without_auto(stage: Stage) -> Iterator[None]:
    """The seed's route of that name is switched off meanwhile."""
    auto = Route.objects.filter(tenant=None, name="auto")
    auto.update(enabled=False)
    stage.in_both(lambda at: '"auto"' not in stage.models(at, stage.key()).text)
    yield
    auto.update(enabled=True)
    stage.in_both(lambda at: '"auto"' in stage.models(at, stage.key()).text)  # else the next sees it off too soon


@pytest.mark.usefixtures("without_auto")
def test_without_a_model_the_route_auto_serves_or_the_client_must_name_one(base: str, stage: Stage) -> None:
    refused = stage.post(base, "infer", prompt="hello")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")
    assert "“auto”" in refused.json()["error"]["message"]
    name = stage.route(says("by auto"))
    with transaction.atomic():
        Route.objects.filter(name=name).update(name="auto")
    try:
        stage.in_both(lambda at: '"auto"' in stage.models(at, stage.key()).text)
        answer = stage.post(base, "infer", prompt="hello")
        assert answer.json()["text"] == "by auto" and stage.trace(answer).route == "auto"
    finally:
        Route.objects.filter(tenant=stage.tenant, name="auto").delete()
        stage.in_both(lambda at: '"auto"' not in stage.models(at, stage.key()).text)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"prompt": ""}, "prompt"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": "a\0b"}, "prompt"),
    ({"prompt": "hi", "max_tokens": -1}, "max_tokens"),
    ({"prompt": "hi", "stream": True}, "stream"),
    ({"prompt": "hi", "nonsense": 1}, "nonsense"),
]


@pytest.mark.parametrize(("body", "param"), BAD, ids=str)
def test_what_is_wrong_is_named(stage: Stage, model: str, body: dict[str, Any], param: str) -> None:
    asked = {"headers": {"X-Request-ID": "same"}, "model": model, **body}
    by_express, by_drf = (stage.post(base, "infer", **asked) for base in (stage.shells.express, stage.shells.drf))
    assert by_express.status_code == by_drf.status_code == 400
    assert by_express.json()["error"]["param"] == param and by_express.content == by_drf.content
    assert stage.trace(by_express).endpoint == "infer"


def test_a_key_without_the_scope_may_not(base: str, stage: Stage, model: str) -> None:
    _, key = stage.new_key(scopes=["models"])
    for at, body in (("infer", {"prompt": "hi"}), ("embeddings", {"input": "hi"})):
        assert stage.post(base, at, key=key, model=model, **body).status_code == 403
    assert stage.http.get(f"{base}/v1/infer").status_code == 405


def test_a_tenant_that_keeps_metadata_only_keeps_no_prompt(base: str, stage: Stage, tenant_c: Tenant) -> None:
    model = stage.route(says("planted-answer"), tenant=tenant_c, policy=NO_CACHE)
    answer = stage.post(base, "infer", key=stage.key(tenant_c), model=model, prompt="planted-question")
    trace = stage.trace(answer, tenant_c)
    assert trace.endpoint == "infer" and "planted" not in repr(vars(trace))
