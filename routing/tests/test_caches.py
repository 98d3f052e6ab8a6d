"""Answers that are used again, and all those that must not be."""

from typing import Any

import pytest

from conftest import eventually
from routing.models import Route
from routing.services import import_policy
from routing.tests.stage import CACHE, SEMANTIC, Stage
from routing.tests.upstream import dies, in_turn, says
from tenants.models import Tenant

SYSTEM = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]


def test_the_same_request_is_answered_from_the_cache(base: str, stage: Stage) -> None:
    model = stage.route(says("once"), policy=CACHE)
    first, second = stage.ask(base, model), stage.ask(base, model)
    assert (first.headers["x-relay-cache"], second.headers["x-relay-cache"]) == ("miss", "exact")
    assert first.content == second.content and len(stage.received(model)) == 1
    trace = stage.trace(second)
    assert (trace.outcome, trace.cache, trace.backend_latency_ms) == ("cached", "exact", None)
    assert trace.cache_json["source_trace"] == first.headers["x-relay-trace-id"]
    assert (trace.cache_json["policy"], trace.cache_json["policy_version"]) == (model, 1)
    assert (trace.cost_microusd, trace.saved_microusd) == (0, 5 + 2 * 7)


def test_both_shells_share_the_cache(stage: Stage) -> None:
    model = stage.route(says("once"), policy=CACHE)
    assert stage.ask(stage.shells.express, model).headers["x-relay-cache"] == "miss"
    assert stage.ask(stage.shells.drf, model).headers["x-relay-cache"] == "exact"


def test_the_client_may_do_without(base: str, stage: Stage) -> None:
    model = stage.route(says("each time"), policy=CACHE)

    def asked(said: str) -> str:
        return str(stage.ask(base, model, headers={"x-relay-cache": said}).headers["x-relay-cache"])

    assert asked("no-store") == "miss"
    assert asked("max-age=60") == "miss", "no-store stored nothing"
    assert asked("max-age=60") == "exact"
    assert asked("no-cache") == "miss"
    assert asked("max-age=0") == "miss"
    assert asked("max-age=60, no-store") == "miss"


def test_a_stream_fills_the_cache_and_is_filled_from_it(base: str, stage: Stage) -> None:
    model = stage.route(says("to", " be", " kept"), policy=CACHE)
    streamed = stage.ask(base, model, stream=True)
    whole = stage.ask(base, model)
    again = stage.ask(base, model, stream=True, stream_options={"include_usage": True})
    assert [one.headers["x-relay-cache"] for one in (streamed, whole, again)] == ["miss", "exact", "exact"]
    assert whole.json()["choices"][0]["message"]["content"] == "to be kept"
    assert whole.json()["usage"]["completion_tokens"] == 7
    assert "to be kept" in again.text and '"usage"' in again.text and again.text.endswith("data: [DONE]\n\n")
    assert again.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("finish", ["content_filter", "error"])
def test_incomplete_answers_are_not_stored(base: str, stage: Stage, finish: str) -> None:
    model = stage.route(says("half", finish=finish), policy=CACHE)
    for stream in (False, True, False):
        assert stage.ask(base, model, stream=stream).headers["x-relay-cache"] == "miss"


def test_a_broken_stream_is_not_stored(base: str, stage: Stage) -> None:
    model = stage.route(in_turn([dies("ha"), says("whole")]), policy=CACHE)
    assert "[DONE]" not in stage.ask(base, model, stream=True).text
    assert "whole" in stage.ask(base, model, stream=True).text


# Only a trailing blank is no other question by meaning: that last one is asked of the exact cache alone.
OTHERS: list[dict[str, Any]] = [
    {"messages": SYSTEM},
    {"temperature": 0.9},
    {"tools": [{"type": "function", "function": {"name": "now"}}]},
    {"max_tokens": 3},
    {"seed": 2},
    {"user": "somebody"},
    {"messages": [{"role": "user", "content": "hello "}]},
]


@pytest.mark.parametrize(
    ("policy", "other"), [(CACHE, other) for other in OTHERS] + [(SEMANTIC, other) for other in OTHERS[:-1]], ids=str
)
def test_another_request_never_hits(base: str, stage: Stage, policy: str, other: dict[str, Any]) -> None:
    model = stage.route(says("for one only"), policy=policy)
    stage.ask(base, model)
    if policy == SEMANTIC:
        eventually(lambda: stage.ask(base, model).headers["x-relay-cache"] == "semantic")
    assert stage.ask(base, model, **other).headers["x-relay-cache"] == "miss"


def test_a_client_may_keep_its_answers_to_its_key(base: str, stage: Stage) -> None:
    model = stage.route(says("mine"), policy=CACHE)
    private = {"x-relay-cache": "private"}
    _, other = stage.new_key()
    asked = [stage.ask(base, model, key=key, headers=private) for key in ("", "", other)]
    asked.append(stage.ask(base, model))
    assert [one.headers["x-relay-cache"] for one in asked] == ["miss", "exact", "miss", "miss"]


def test_another_key_never_hits_where_the_policy_says_so(base: str, stage: Stage) -> None:
    model = stage.route(says("mine"), policy=CACHE.replace("exact: true", "exact: true, scope: key"))
    _, other = stage.new_key()
    assert stage.ask(base, model).headers["x-relay-cache"] == "miss"
    assert stage.ask(base, model, key=other).headers["x-relay-cache"] == "miss"
    assert stage.ask(base, model).headers["x-relay-cache"] == "exact"


@pytest.mark.parametrize("policy", [CACHE, SEMANTIC], ids=["exact", "semantic"])
def test_another_tenant_never_hits(base: str, stage: Stage, tenant_b: Tenant, policy: str) -> None:
    """Both ask through the same route, policy and deployment, of the platform."""
    model = stage.route(says("secret of acme"), policy=policy)
    import_policy(tenant=None, slug=model, text=policy, activated=True)
    Route.objects.filter(name=model).update(tenant=None)
    stage.in_both(lambda at: model in stage.models(at, stage.key(tenant_b)).text)
    stage.ask(base, model)
    eventually(lambda: stage.ask(base, model).headers["x-relay-cache"] != "miss")
    theirs = stage.ask(base, model, key=stage.key(tenant_b))
    assert (theirs.status_code, theirs.headers["x-relay-cache"]) == (200, "miss")
    assert stage.trace(theirs, tenant_b).cache_json.get("question") is None


def test_a_question_alike_is_answered_from_the_cache(base: str, stage: Stage) -> None:
    model = stage.route(says("Paris"), policy=SEMANTIC)
    first = stage.ask(base, model, "What is the capital of France?")
    alike = eventually(lambda: _semantic(stage.ask(base, model, "What's the capital of France?")))
    assert alike.json()["choices"][0]["message"]["content"] == "Paris"
    trace = stage.trace(alike)
    assert (trace.outcome, trace.cache, trace.backend_latency_ms) == ("cached", "semantic", None)
    assert 0.9 <= trace.cache_json["similarity"] <= 1.0
    assert trace.cache_json["source_trace"]
    assert stage.trace(first).cache_json["semantic"] == "miss"
    streamed = stage.ask(base, model, "What's the capital of France?", stream=True)
    assert streamed.headers["x-relay-cache"] == "semantic" and streamed.text.endswith("data: [DONE]\n\n")
    too_old = stage.ask(base, model, "What is the capital of France?", headers={"x-relay-cache": "max-age=0"})
    assert too_old.headers["x-relay-cache"] == "miss"


def test_a_question_not_alike_enough_is_asked(base: str, stage: Stage) -> None:
    strict = SEMANTIC.replace("0.9}", "0.999}")
    model = stage.route(says("Paris"), policy=strict)
    stage.ask(base, model, "What is the capital of France?")
    eventually(lambda: _semantic(stage.ask(base, model, "What is the capital of France?")))
    answer = stage.ask(base, model, "What is France's capital city?")
    assert answer.headers["x-relay-cache"] == "miss"
    facts = stage.trace(answer).cache_json
    assert facts["semantic"] in ("near", "miss") and facts["similarity"] < facts["threshold"] == 0.999


def test_other_numbers_are_another_question(base: str, stage: Stage) -> None:
    model = stage.route(says("Four"), policy=SEMANTIC.replace("threshold: 0.9", "threshold: 0.6"))
    stage.ask(base, model, "in 2 lines")
    eventually(lambda: _semantic(stage.ask(base, model, "in 2 lines")))
    answer = stage.ask(base, model, "in 20 lines")
    assert answer.headers["x-relay-cache"] == "miss"
    assert stage.trace(answer).cache_json["refused_because"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"messages": [{"role": "user", "content": "x" * 2000}], "max_tokens": 5}, "plain, short"),
        ({"headers": {"x-relay-cache": "no-cache"}}, "no-cache"),
    ],
)
def test_what_is_not_compared_says_why(base: str, stage: Stage, asked: dict[str, Any], why: str) -> None:
    model = stage.route(says("asked"), policy=SEMANTIC)
    assert why in stage.trace(stage.ask(base, model, **asked)).cache_json["why"]


def test_who_keeps_metadata_only_compares_nothing(base: str, stage: Stage, tenant_c: Tenant) -> None:
    model = stage.route(says("quietly"), policy=SEMANTIC, tenant=tenant_c)
    answer = stage.ask(base, model, "my secret question", key=stage.key(tenant_c))
    assert answer.status_code == 200
    trace = stage.trace(answer, tenant_c)
    assert "metadata only" in trace.cache_json["why"]
    assert (trace.request_json, trace.response_json, trace.prompt_line) == (None, None, "")


def _semantic(answer: Any) -> Any:
    return answer if answer.headers["x-relay-cache"] == "semantic" else None
