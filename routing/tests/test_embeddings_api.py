"""POST /v1/embeddings with OpenAI's own client, through both shells."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from routing.models import Deployment, Route
from routing.services import save_route
from routing.tests.stage import CACHE, SEMANTIC, Stage
from routing.tests.upstream import embeds, refuses, says, sends
from tenants.models import Tenant

VECTOR = [0.5, -0.25, 1.0]
EMBEDDINGS: dict[str, Any] = {"serves": "embeddings", "price_out_microusd": 0}


@pytest.fixture
def client(base: str, stage: Stage) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{base}/v1", api_key=stage.key(), max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def model(stage: Stage) -> str:
    return stage.route(embeds(VECTOR, VECTOR), **EMBEDDINGS)


def test_vectors_as_the_client_asks_by_default(client: openai.OpenAI, stage: Stage, model: str) -> None:
    """It asks for base64 and decodes it; this provider only knows numbers."""
    answer = client.embeddings.create(model=model, input=["one", "two"])
    assert [one.embedding for one in answer.data] == [VECTOR, VECTOR]
    assert [one.index for one in answer.data] == [0, 1] and answer.usage.total_tokens == 3
    assert stage.received(model)[-1]["encoding_format"] == "base64"


def test_vectors_as_numbers(client: openai.OpenAI, stage: Stage, model: str) -> None:
    answer = client.embeddings.create(
        model=model, input=["one", "two"], encoding_format="float", dimensions=3, user="ann"
    )
    assert answer.data[1].embedding == VECTOR
    received = stage.received(model)[-1]
    assert received == {
        "model": f"{model}-0",
        "input": ["one", "two"],
        "encoding_format": "float",
        "dimensions": 3,
        "user": "ann",
    }


@pytest.mark.parametrize("given", ["one text", [1, 2, 3], [[1, 2, 3]]], ids=str)
def test_one_input_in_each_form(client: openai.OpenAI, stage: Stage, given: Any) -> None:
    model = stage.route(embeds(VECTOR), **EMBEDDINGS)
    assert client.embeddings.create(model=model, input=given).data[0].embedding == VECTOR
    assert stage.received(model)[-1]["input"] == given


def test_its_trace_holds_no_vector(base: str, stage: Stage, model: str) -> None:
    answer = stage.post(base, "embeddings", model=model, input=["one", "two"])
    trace = stage.trace(answer)
    assert (trace.endpoint, trace.outcome, trace.prompt_line) == ("embeddings", "ok", "one")
    assert (trace.tokens_in, trace.tokens_out, trace.usage_source, trace.cost_microusd) == (3, 0, "provider", 3)
    assert trace.response_json == {
        "object": "list",
        "model": "fake-embed",
        "vectors": 2,
        "dimensions": 3,
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    assert trace.plan_json["max_tokens"] == 0 and trace.queue_wait_ms is not None, "it went through its lane"


def test_the_same_texts_are_answered_from_the_exact_cache_only(base: str, stage: Stage) -> None:
    model = stage.route(embeds(VECTOR), policy=SEMANTIC.replace("exact: false", "exact: true"), **EMBEDDINGS)
    asked = [stage.post(base, "embeddings", model=model, input="What is an API gateway?") for _ in range(2)]
    alike = stage.post(base, "embeddings", model=model, input="What's an API gateway?")
    packed = stage.post(base, "embeddings", model=model, input="What is an API gateway?", encoding_format="base64")
    assert [one.headers["x-relay-cache"] for one in (*asked, alike, packed)] == ["miss", "exact", "miss", "miss"]
    assert asked[0].content == asked[1].content
    trace = stage.trace(asked[1])
    assert (trace.cache, trace.response_json["vectors"], trace.saved_microusd) == ("exact", 1, 3)
    assert "data" not in trace.response_json


def test_no_body_means_both_an_answer_and_vectors(base: str, stage: Stage) -> None:
    """A body with messages and input is a chat at one address and a text to embed at the other."""
    name = stage.route(says("hi"), embeds(VECTOR), policy=CACHE)
    Deployment.objects.filter(slug=f"{name}-1").update(serves="embeddings")
    both: dict[str, Any] = {"model": name, "input": "hello", "messages": [{"role": "user", "content": "hello"}]}
    stage.in_both(lambda at: stage.post(at, "embeddings", **both).status_code == 200)
    kinds = [stage.post(base, at, **both).json()["object"] for at in ("embeddings", "chat/completions", "embeddings")]
    assert kinds == ["list", "chat.completion", "list"]


def test_the_next_provider_answers_when_one_fails(base: str, stage: Stage) -> None:
    garbage = sends(b'{"object": "list", "data": []}', content_type="application/json")
    model = stage.route(refuses(503), garbage, embeds(VECTOR, usage=None), **EMBEDDINGS)
    answer = stage.post(base, "embeddings", model=model, input="some text")
    assert answer.json()["data"][0]["embedding"] == VECTOR
    trace = stage.trace(answer)
    assert [one["code"] for one in trace.attempts_json] == ["http_503", "garbage", None]
    assert (trace.outcome, trace.usage_source) == ("fell_back", "estimated")
    assert answer.json()["usage"] == {"prompt_tokens": 3, "total_tokens": 3, "estimated": True}


def test_a_quota_of_tokens_holds_for_it(base: str, stage: Stage, model: str) -> None:
    _, key = stage.new_key(quota={"metric": "tokens", "window": "month", "limit": 4})
    answers = [stage.post(base, "embeddings", key=key, model=model, input=["a", "b"]) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 429]
    assert answers[0].headers["x-ratelimit-limit-tokens"] == "4"


def test_chat_and_embeddings_are_not_mixed_up(base: str, stage: Stage, model: str) -> None:
    chat = stage.route(says("only talk"))
    for answer, named in (
        (stage.post(base, "embeddings", model=chat, input="x"), "embeddings"),
        (stage.ask(base, model), "chat"),
    ):
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, "model") and f"does not serve {named}" in error["message"]
    assert not stage.received(chat)


def test_a_route_of_both_kinds_says_whom_it_passed_over(base: str, stage: Stage) -> None:
    name = stage.route(embeds(VECTOR), **EMBEDDINGS)
    row = Route.objects.get(name=name)
    first = row.steps.get().deployment
    talking = stage.route(says("talk"))
    second = Route.objects.get(name=talking).steps.get().deployment
    save_route(row, candidates=[(first, None), (second, None)])
    stage.in_both(lambda at: stage.ask(at, name).status_code == 200)
    trace = stage.trace(stage.ask(base, name))
    assert trace.deployment == second.slug
    whys = {one["deployment"]: one["why"] for one in trace.plan_json["candidates"]}
    assert whys[first.slug] == "It serves embeddings, not chat."


def test_another_tenants_embeddings_are_the_same_as_none(base: str, stage: Stage, tenant_b: Tenant) -> None:
    theirs = stage.route(embeds(VECTOR), tenant=tenant_b, policy=CACHE, **EMBEDDINGS)
    assert stage.post(base, "embeddings", key=stage.key(tenant_b), model=theirs, input="x").status_code == 200
    hidden, nothing = (stage.post(base, "embeddings", model=model, input="x") for model in (theirs, "nothing"))
    assert hidden.status_code == nothing.status_code == 404
    assert hidden.text.replace(theirs, "nothing") == nothing.text
    assert len(stage.received(theirs)) == 1


BAD: list[tuple[Any, str]] = [
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
    ({"input": ["x"] * 2049}, "input"),
    ({"input": ["fine", "nu\0l"]}, "input[1]"),
    ({"input": {"text": "x"}}, "input"),
    ({"input": "x", "encoding_format": "int8"}, "encoding_format"),
    ({"input": "x", "dimensions": "many"}, "dimensions"),
    ({"input": "x", "model": None}, "model"),
]


@pytest.mark.parametrize(("body", "param"), BAD, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_named_by_both_shells(stage: Stage, model: str, body: dict[str, Any], param: str) -> None:
    asked = {"headers": {"X-Request-ID": "same"}, "model": model, **body}
    by_express, by_drf = (stage.post(base, "embeddings", **asked) for base in (stage.shells.express, stage.shells.drf))
    assert by_express.status_code == by_drf.status_code == 400
    assert by_express.json()["error"]["param"] == param and by_express.content == by_drf.content


def test_a_body_that_is_too_large_is_refused(base: str, stage: Stage, model: str) -> None:
    assert stage.post(base, "embeddings", model=model, input="x" * 5_000_000).status_code == 413


def test_the_model_of_the_seed_works_offline(client: openai.OpenAI) -> None:
    texts = ["How do I reset my password?", "I forgot my password, how can I change it?", "The cat sleeps."]
    answer = client.embeddings.create(model="minilm", input=texts)
    first, alike, other = (one.embedding for one in answer.data)
    assert len(first) == 384
    assert _cosine(first, alike) > 0.7 > 0.4 > _cosine(first, other)
    numbers = client.embeddings.create(model="minilm", input=texts[0], encoding_format="float").data[0].embedding
    assert _cosine(first, numbers) > 0.9999


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ["short", "word " * 300]}, "input[1]"),
        ({"input": [1, 2]}, "input"),
        ({"dimensions": 5}, "dimensions"),
    ],
    ids=str,
)
def test_what_minilm_cannot_do_is_the_clients_mistake(base: str, stage: Stage, body: Any, param: str) -> None:
    answer = stage.post(base, "embeddings", **{"model": "minilm", "input": "x", **body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def _cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
