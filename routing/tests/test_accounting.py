"""Who is charged what, as the trace and the counters say it: each kind of ending once."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
import redis
from django.conf import settings
from django.db import transaction

from conftest import eventually
from routing.candidates import limit_of_deployment
from routing.models import Deployment, DeploymentLimit, Provider
from routing.tests.stage import CACHE, NO_CACHE, Stage
from routing.tests.upstream import DONE, USAGE, event, hangs, in_turn, refuses, says, sends
from tenants.auth import limit_of
from tenants.core.limits import counter_of
from tenants.models import Quota
from tenants.scripts import EPOCH

PLENTY = 10**9
TOKENS, COST = sum(USAGE), USAGE[0] + 2 * USAGE[1]  # at the stage's prices


def limit(stage: Stage, model: str, candidate: int = 0, **limits: int) -> None:
    """Limits of a candidate's deployment, known to both servers."""
    deployment = stage.deployment(model, candidate)
    with transaction.atomic():
        for metric, most in limits.items():
            DeploymentLimit.objects.create(deployment=deployment, metric=metric, window="month", limit=most)
    stage.route(says("a later change"))  # and so the earlier one is known, too


def settled(row: Any) -> int:
    """What the counter of a quota or limit has settled."""
    found = limit_of(row) if isinstance(row, Quota) else limit_of_deployment(row)
    with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True) as client:
        value: Any = client.hget(counter_of(found, time.time()).key, f"s{client.hget(EPOCH, 'g')}")
    return int(value or 0)


def counted(stage: Stage, key_row: Any) -> dict[str, int]:
    return {
        row.metric: settled(row) for row in Quota.objects.filter(api_key=key_row).select_related("tenant", "api_key")
    }


@pytest.fixture
def payer(stage: Stage) -> Any:
    row, key = stage.new_key(quota={"metric": "requests", "window": "month", "limit": PLENTY})
    with transaction.atomic():
        for metric in ("tokens", "cost"):
            Quota.objects.create(tenant=stage.tenant, api_key=row, metric=metric, window="month", limit=PLENTY)
    stage.route(says("a later change"))
    return row, key


@pytest.mark.parametrize(
    ("scripts", "policy", "requests", "tokens", "cost", "attempts"),
    [
        ((says("hi"),), NO_CACHE, 1, TOKENS, COST, [(1, TOKENS, COST)]),
        ((refuses(500), says("hi")), NO_CACHE, 1, TOKENS, COST, [(1, 0, 0), (1, TOKENS, COST)]),
        ((refuses(500), refuses(503)), NO_CACHE, 1, 0, 0, [(1, 0, 0), (1, 0, 0)]),
        ((refuses(400),), NO_CACHE, 1, 0, 0, [(1, 0, 0)]),
    ],
    ids=["answered", "failed over", "all failed", "refused by the provider"],
)
def test_each_ending_is_charged_once(
    base: str, stage: Stage, payer: Any, scripts: Any, policy: str, requests: int, tokens: int, cost: int, attempts: Any
) -> None:
    row, key = payer
    answer = stage.ask(base, stage.route(*scripts, policy=policy), key=key)
    trace = stage.trace(answer)
    assert (trace.charged_requests, trace.charged_tokens, trace.cost_microusd) == (requests, tokens, cost)
    said = [tuple(one["charged"][name] for name in ("requests", "tokens", "cost")) for one in trace.attempts_json]
    assert said == attempts
    assert counted(stage, row) == {"requests": requests, "tokens": tokens, "cost": cost}
    if cost:
        assert (trace.price_in_microusd, trace.price_out_microusd) == (1_000_000, 2_000_000)


@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_attempt_is_billed_for_what_its_provider_says(
    base: str, stage: Stage, payer: Any, stream: bool
) -> None:
    row, key = payer
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    broken = (
        sends(event({"choices": [], "usage": usage}), DONE)
        if stream
        else sends(orjson.dumps({"choices": [], "usage": usage}), content_type="application/json")
    )
    trace = stage.trace(stage.ask(base, stage.route(broken, says("hi")), key=key, stream=stream))
    assert [one["charged"]["tokens"] for one in trace.attempts_json] == [8, TOKENS]
    assert (trace.charged_tokens, trace.cost_microusd) == (8 + TOKENS, 11 + COST)
    assert counted(stage, row) == {"requests": 1, "tokens": 8 + TOKENS, "cost": 11 + COST}


def test_a_cache_hit_is_a_request_that_costs_nothing(base: str, stage: Stage, payer: Any) -> None:
    row, key = payer
    model = stage.route(says("once"), policy=CACHE)
    stage.ask(base, model, key=key)
    hit = stage.ask(base, model, key=key)
    assert hit.headers["x-relay-cache"] == "exact"
    trace = stage.trace(hit)
    assert (trace.charged_requests, trace.charged_tokens, trace.cost_microusd) == (1, 0, 0)
    assert counted(stage, row) == {"requests": 2, "tokens": TOKENS, "cost": COST}


def test_another_tenants_requests_do_not_count(base: str, stage: Stage, payer: Any, tenant_b: Any) -> None:
    row, _ = payer
    whole = Quota.objects.create(tenant=stage.tenant, metric="tokens", window="hour", limit=PLENTY)
    theirs = stage.route(says("elsewhere"), tenant=tenant_b)
    assert stage.ask(base, theirs, key=stage.key(tenant_b)).status_code == 200
    assert counted(stage, row) == {"requests": 0, "tokens": 0, "cost": 0}
    assert settled(whole) == 0
    whole.delete()


def test_who_is_refused_by_a_quota_pays_nothing(base: str, stage: Stage, payer: Any) -> None:
    row, key = payer
    model = stage.route(says("once"))
    stage.ask(base, model, key=key)
    Quota.objects.filter(api_key=row, metric="requests").update(limit=1)
    refused: Any = eventually(lambda: one if (one := stage.ask(base, model, key=key)).status_code == 429 else None)
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-remaining-tokens"].isdecimal(), "all limits are told"
    trace = stage.trace(refused)
    assert (trace.charged_requests, trace.charged_tokens, trace.cost_microusd) == (0, 0, 0)
    served = counted(stage, row)["requests"]
    assert served == len(stage.received(model))


def test_a_client_that_leaves_pays_for_what_came(base: str, stage: Stage, payer: Any) -> None:
    row, key = payer
    model = stage.route(hangs("some", " words"))
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True}
    with stage.http.stream(
        "POST", f"{base}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}
    ) as answer:
        next(answer.iter_bytes())
        trace_id = answer.headers["x-relay-trace-id"]
    trace = stage.trace_by(id=trace_id)
    assert (trace.outcome, trace.charged_requests, trace.usage_source) == ("cancelled", 1, "estimated")
    assert trace.charged_tokens > 0
    expected = {"requests": 1, "tokens": trace.charged_tokens, "cost": trace.cost_microusd}
    assert counted(stage, row) == expected


def test_usage_that_cannot_be_true_is_replaced_and_both_numbers_are_kept(base: str, stage: Stage, payer: Any) -> None:
    row, key = payer
    trace = stage.trace(stage.ask(base, stage.route(says("hello", usage=(5, 90_000))), key=key))
    assert (trace.usage_source, trace.tokens_in, trace.tokens_out) == ("corrected", 5, 2)
    [step] = [one for one in trace.decision_trace_json if one["step"] == "usage"]
    assert "90,000" in step["why"] and "2" in step["why"]
    assert counted(stage, row)["tokens"] == 7


def test_a_deployments_limit_sends_the_rest_to_the_next(base: str, stage: Stage) -> None:
    model = stage.route(says("first"), says("second"))
    limit(stage, model, requests=2)
    answers = [stage.ask(base, model) for _ in range(4)]
    assert [one.headers["x-relay-model"][-1] for one in answers] == ["0", "0", "1", "1"]
    trace = stage.trace(answers[-1])
    [spent] = [one for one in trace.plan_json["candidates"] if one["deployment"] == f"{model}-0"]
    assert spent["position"] == 2 and "0% of 2 requests a month left" in spent["why"]
    assert trace.outcome == "ok" and len(trace.attempts_json) == 1


def test_what_a_limit_counts_is_what_its_deployment_did(base: str, stage: Stage) -> None:
    model = stage.route(in_turn([refuses(500), says("ok")]), says("second"))
    limit(stage, model, requests=PLENTY, tokens=PLENTY, cost=PLENTY)
    limit(stage, model, 1, tokens=PLENTY)
    assert stage.ask(base, model).headers["x-relay-model"] == f"{model}-1"
    by_name = {(row.deployment.slug[-1], row.metric): settled(row) for row in _limits(model)}
    assert by_name == {("0", "requests"): 1, ("0", "tokens"): 0, ("0", "cost"): 0, ("1", "tokens"): TOKENS}


def _limits(model: str) -> Any:
    return DeploymentLimit.objects.filter(deployment__slug__startswith=f"{model}-").select_related("deployment")


def test_connection_refused_gives_all_back(base: str, stage: Stage) -> None:
    model = stage.route(says("never"), says("second"))
    limit(stage, model, requests=PLENTY)
    with transaction.atomic():
        dead = Provider.objects.create(
            slug=f"{model}-dead", name="Dead", base_url="http://127.0.0.1:9/v1", allow_private=True
        )
        Deployment.objects.filter(slug=f"{model}-0").update(provider=dead)
    answer: Any = eventually(
        lambda: one if (one := stage.ask(base, model)).headers["x-relay-model"][-1] == "1" else None
    )
    trace = stage.trace(answer)
    assert trace.attempts_json[0]["code"] == "connection_failed" and "charged" not in trace.attempts_json[0]
    [row] = _limits(model)
    assert settled(row) == len(stage.received(model, 0)), "only what reached it"


def test_no_quota_left_anywhere_is_the_platforms_shortage(base: str, stage: Stage) -> None:
    model = stage.route(says("one"), says("two"))
    for candidate in (0, 1):
        limit(stage, model, candidate, requests=1)
    assert [stage.ask(base, model).status_code for _ in range(3)] == [200, 200, 503]
    refused = stage.ask(base, model)
    assert refused.json()["error"]["code"] == "providers_exhausted"
    assert f"{model}-" in refused.json()["error"]["message"]
    assert 1 <= int(refused.headers["retry-after"]) <= 3600
    assert stage.trace(refused).outcome == "failed"


def test_two_hundred_and_fifty_at_once_are_two_hundred_and_fifty(stage: Stage) -> None:
    """Two hundred here and fifty there, over two servers."""
    model = stage.route(says("first"), says("second"), capacity=250)
    limit(stage, model, requests=200)
    bases = [stage.shells.express, stage.shells.drf]
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda number: stage.ask(bases[number % 2], model), range(250)))
    assert {one.status_code for one in answers} == {200}
    assert [len(stage.received(model, candidate)) for candidate in (0, 1)] == [200, 50]


def test_a_soft_quota_says_so_in_a_header(base: str, stage: Stage) -> None:
    model = stage.route(says("still"))
    _, key = stage.new_key(quota={"metric": "requests", "window": "month", "limit": 1, "hard": False})
    first, second = stage.ask(base, model, key=key), stage.ask(base, model, key=key)
    assert "x-relay-quota-warning" not in first.headers
    assert second.headers["x-relay-quota-warning"] == "2 of 1 requests a month"


def test_headers_tell_when_a_limit_starts_anew(base: str, stage: Stage) -> None:
    _, key = stage.new_key(quota={"metric": "requests", "window": "hour", "limit": 5})
    headers = stage.ask(base, stage.route(says("hi")), key=key).headers
    assert headers["x-ratelimit-reset-requests"].endswith("s")
    assert 1 <= _seconds(headers["x-ratelimit-reset-requests"]) <= 3601


def _seconds(text: str) -> int:
    total = 0
    for name, unit in (("h", 3600), ("m", 60), ("s", 1)):
        if name in text:
            number, text = text.split(name)
            total += int(number) * unit
    return total
