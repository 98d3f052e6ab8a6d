"""Requests that bear the same Idempotency-Key: one is asked and charged, all are answered."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from django_tenants.utils import tenant_context

from conftest import eventually, unique
from routing.tests.stage import CACHE, NO_CACHE, Stage
from routing.tests.upstream import embeds, hangs, in_turn, refuses, says
from tenants.models import Tenant
from traces.models import Trace


def ask(stage: Stage, base: str, model: str, name: str, said: str = "hello", **more: Any) -> httpx.Response:
    return stage.ask(base, model, said, headers={"Idempotency-Key": name, **more.pop("headers", {})}, **more)


def test_fifty_at_once_over_two_servers_make_one_call_and_one_charge(stage: Stage) -> None:
    model, name = stage.route(says("once", gap_s=0.3), policy=NO_CACHE), unique("order")
    servers = [stage.shells.express, stage.shells.drf] * 25
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda base: ask(stage, base, model, name), servers))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(stage.received(model)) == 1
    assert sorted(answer.headers["x-relay-cache"] for answer in answers) == ["miss"] + ["replay"] * 49
    with tenant_context(stage.tenant):
        costs = eventually(lambda: found if len(found := costs_of(model)) == 50 else [])
    assert sorted(costs) == [0] * 49 + [5 + 2 * 7]


def costs_of(model: str) -> list[int]:
    return list(Trace.objects.filter(route=model).values_list("cost_microusd", flat=True))


def test_a_repeat_names_the_trace_of_the_first(base: str, stage: Stage) -> None:
    model, name = stage.route(says("once"), policy=CACHE), unique("order")
    first = ask(stage, base, model, name)
    again = ask(stage, base, model, name, headers={"x-relay-cache": "no-store"})
    trace = stage.trace(again)
    assert (trace.outcome, trace.cache, trace.backend_latency_ms) == ("cached", "replay", None)
    assert trace.cache_json["source_trace"] == first.headers["x-relay-trace-id"]


def test_a_stream_is_repeated_as_a_stream(base: str, stage: Stage) -> None:
    model, name = stage.route(says("in", " pieces")), unique("order")
    first, again = (ask(stage, base, model, name, stream=True) for _ in range(2))
    assert first.text.endswith("data: [DONE]\n\n") and again.text.endswith("data: [DONE]\n\n")
    assert "in pieces" in again.text and len(stage.received(model)) == 1


def test_another_request_with_the_same_key_is_refused(base: str, stage: Stage) -> None:
    model, name = stage.route(says("once")), unique("order")
    assert ask(stage, base, model, name).status_code == 200
    other = ask(stage, base, model, name, "something else")
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    assert other.json()["error"]["param"] == "Idempotency-Key"


def test_an_answer_from_the_cache_is_kept_for_its_key_too(base: str, stage: Stage) -> None:
    model, name = stage.route(in_turn([says("first"), says("never")]), policy=CACHE), unique("order")
    assert stage.ask(base, model).headers["x-relay-cache"] == "miss"
    assert ask(stage, base, model, name).headers["x-relay-cache"] == "exact"
    again = ask(stage, base, model, name, headers={"x-relay-cache": "no-store"})
    assert again.headers["x-relay-cache"] == "replay" and "first" in again.text
    assert ask(stage, base, model, name, "something else").json()["error"]["code"] == "idempotency_key_reused"


def test_a_name_means_something_to_one_api_key_only(base: str, stage: Stage, tenant_b: Tenant) -> None:
    model, name = stage.route(says("mine")), unique("order")
    theirs = stage.route(says("theirs"), tenant=tenant_b)
    _, other_key = stage.new_key()
    assert ask(stage, base, model, name).status_code == 200
    assert ask(stage, base, model, name, key=other_key).headers["x-relay-cache"] == "miss"
    assert "theirs" in ask(stage, base, theirs, name, key=stage.key(tenant_b)).text


def test_after_a_failure_the_next_one_is_asked(base: str, stage: Stage) -> None:
    model, name = stage.route(in_turn([refuses(400), says("now")])), unique("order")
    assert ask(stage, base, model, name).status_code == 400
    assert ask(stage, base, model, name).status_code == 200
    assert len(stage.received(model)) == 2


def test_one_who_waits_takes_over_when_the_first_client_leaves(base: str, stage: Stage) -> None:
    model, name = stage.route(in_turn([hangs(), says("taken over")])), unique("order")
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(httpx.ReadTimeout):
            request = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
            headers = {"Authorization": f"Bearer {stage.key()}", "Idempotency-Key": name}
            with httpx.Client(timeout=0.5) as impatient:
                waiting = pool.submit(_once_asked, stage, base, model, name)
                impatient.post(f"{base}/v1/chat/completions", json=request, headers=headers)
        assert "taken over" in waiting.result().text


def _once_asked(stage: Stage, base: str, model: str, name: str) -> httpx.Response:
    eventually(lambda: stage.received(model))
    return ask(stage, base, model, name)


@pytest.mark.parametrize("name", ["x" * 256, "sch\xf6n"])
def test_a_key_that_cannot_be_one_is_refused(base: str, stage: Stage, name: str) -> None:
    model = stage.route(says("never"))
    headers = {b"Authorization": f"Bearer {stage.key()}".encode(), b"Idempotency-Key": name.encode("latin-1")}
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    refused = stage.http.post(f"{base}/v1/chat/completions", json=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "Idempotency-Key")


def test_the_address_is_part_of_the_request(base: str, stage: Stage) -> None:
    """The same body by another route's path is another request."""
    path, name = unique("path"), unique("order")
    model = stage.route(says("by name"))
    stage.route(says("by path"), row={"path": path})
    assert "by name" in ask(stage, base, model, name).text
    assert ask(stage, base, model, name, path=path).json()["error"]["code"] == "idempotency_key_reused"


def test_infer_and_embeddings_have_it_too(base: str, stage: Stage) -> None:
    model, vectors = stage.route(says("once")), stage.route(embeds([0.5]), serves="embeddings")
    for at, asked, body in (("infer", model, {"prompt": "hi"}), ("embeddings", vectors, {"input": "hi"})):
        headers = {"Idempotency-Key": unique("order")}
        first, again = (stage.post(base, at, model=asked, headers=headers, **body) for _ in range(2))
        assert [one.headers["x-relay-cache"] for one in (first, again)] == ["miss", "replay"]
        assert first.json().get("text") == again.json().get("text")
        assert first.json().get("data") == again.json().get("data")
        other = stage.post(
            base, at, model=asked, headers=headers, **body, **({"max_tokens": 3} if at == "infer" else {"user": "x"})
        )
        assert other.status_code == 422
        assert len(stage.received(asked)) == 1


def test_a_repeat_gets_the_answer_that_a_failover_gave(base: str, stage: Stage) -> None:
    """Though no cache keeps what came from outside the split's arm."""
    model, name = stage.route(refuses(500), says("from b"), shares=(100, 0), policy=CACHE), unique("order")
    first, again = (ask(stage, base, model, name) for _ in range(2))
    assert "from b" in first.text and first.content == again.content
    assert again.headers["x-relay-cache"] == "replay" and len(stage.received(model, 1)) == 1
