"""Where a model name or a path leads: paths, other names, splits. Each case through both shells."""

from collections import Counter
from typing import Any

import httpx
import openai
import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from conftest import unique
from routing.models import Deployment, Route
from routing.services import save_route
from routing.tests.stage import CACHE, Stage
from routing.tests.upstream import refuses, says
from tenants.models import Tenant

NOWHERE = "no-such-path"
TOKEN = "a-token-of-the-operator"
pytestmark = pytest.mark.usefixtures("committed")


def _at_a_path(stage: Stage, *scripts: Any, **more: Any) -> tuple[str, str]:
    path = unique("path")
    return path, stage.route(*scripts, row={"path": path}, **more)


def _same(one: httpx.Response, other: httpx.Response, *, but: tuple[str, str]) -> bool:
    return one.status_code == other.status_code and one.text.replace(but[0], but[1]) == other.text


@pytest.fixture(scope="module")
def by_path(stage: Stage) -> tuple[str, str]:
    return _at_a_path(stage, says("by path"))


@pytest.mark.parametrize("asked", ["auto", "anything-else", "mock"])
def test_the_path_wins_over_the_model(base: str, stage: Stage, by_path: tuple[str, str], asked: str) -> None:
    path, name = by_path
    answer = stage.ask(base, asked, path=path)
    assert answer.json()["choices"][0]["message"]["content"] == "by path"
    assert answer.headers["x-relay-policy"] == f"{name}@1"
    trace = stage.trace(answer)
    assert (trace.route, trace.request_json["model"]) == (name, asked), "the trace keeps what was asked"
    assert [one["why"] for one in trace.decision_trace_json if one["step"] == "route"] == [
        f"It is the one at /v1/{path}/."
    ]


def test_openais_client_takes_a_path_as_its_base(base: str, stage: Stage, by_path: tuple[str, str]) -> None:
    messages: list[Any] = [{"role": "user", "content": "hello"}]
    with openai.OpenAI(base_url=f"{base}/v1/{by_path[0]}", api_key=stage.key(), max_retries=0) as client:
        answer = client.chat.completions.create(model="auto", messages=messages)
        assert answer.choices[0].message.content == "by path"
        with client.chat.completions.create(model="auto", messages=messages, stream=True) as stream:
            assert "".join(one.choices[0].delta.content or "" for one in stream) == "by path"


def test_on_a_path_no_model_is_needed(base: str, stage: Stage, by_path: tuple[str, str]) -> None:
    answer = stage.post(base, f"{by_path[0]}/chat/completions", messages=[{"role": "user", "content": "hi"}])
    assert answer.status_code == 200
    wrong = stage.post(base, f"{by_path[0]}/chat/completions", model=5, messages=[{"role": "user", "content": "hi"}])
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "model")


def test_an_unknown_path_is_not_found(base: str, stage: Stage) -> None:
    answer = stage.ask(base, "auto", path=NOWHERE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "route_not_found")
    assert stage.trace(answer).outcome == "rejected"
    for address in ("UPPER", "a%20b", "x" * 49):
        assert stage.ask(base, "auto", path=address).json()["error"]["code"] == "not_found"
    assert stage.ask(base, "auto", path=NOWHERE, key="sk-relay-wrong").status_code == 401


def test_a_route_that_is_switched_off_is_the_same_as_none(base: str, stage: Stage) -> None:
    path, name = _at_a_path(stage, says("off soon"))
    alias = stage.alias(name)
    with transaction.atomic():
        Route.objects.filter(name=name).update(enabled=False)
    stage.in_both(lambda at: f'"{alias}"' not in stage.models(at, stage.key()).text)
    assert _same(stage.ask(base, "auto", path=path), stage.ask(base, "auto", path=NOWHERE), but=(path, NOWHERE))
    assert _same(stage.ask(base, alias), stage.ask(base, "nothing"), but=(alias, "nothing"))


def test_another_tenants_path_is_the_same_as_none(base: str, stage: Stage, tenant_b: Tenant) -> None:
    path, name = _at_a_path(stage, says("for globex only"), tenant=tenant_b)
    assert stage.ask(base, "auto", path=path, key=stage.key(tenant_b)).status_code == 200
    theirs, nothing = stage.ask(base, "auto", path=path), stage.ask(base, "auto", path=NOWHERE)
    assert _same(theirs, nothing, but=(path, NOWHERE)) and theirs.status_code == 404
    assert len(stage.received(name)) == 1


def test_a_path_that_two_tenants_use_means_each_ones_own(base: str, stage: Stage, tenant_b: Tenant) -> None:
    path, _ = _at_a_path(stage, says("ours"))
    stage.route(says("theirs"), tenant=tenant_b, row={"path": path})
    assert "ours" in stage.ask(base, "auto", path=path).text
    assert "theirs" in stage.ask(base, "auto", path=path, key=stage.key(tenant_b)).text


def test_an_alias_is_another_name(base: str, stage: Stage) -> None:
    name = stage.route(says("the target"))
    path = unique("path")
    alias = stage.alias(name, path=path)
    for answer in (stage.ask(base, alias), stage.ask(base, "auto", path=path)):
        assert "the target" in answer.text and answer.headers["x-relay-policy"] == f"{name}@1"
        trace = stage.trace(answer)
        assert trace.route == alias and trace.plan_json["features"]["model"] == name
        assert f"“{alias}” is another name for it." in [one["why"] for one in trace.decision_trace_json]
    with openai.OpenAI(base_url=f"{base}/v1", api_key=stage.key()) as client:
        assert {alias, name} <= {one.id for one in client.models.list()}


def test_another_tenants_alias_is_the_same_as_none(base: str, stage: Stage, tenant_b: Tenant) -> None:
    """Neither by its name nor, where only SQL could have made it so, as an alias of our own."""
    theirs = stage.route(says("for globex only"), tenant=tenant_b)
    ours = stage.alias(stage.route(says("ours")))
    key = stage.key(tenant_b)
    hidden, nothing = (stage.ask(base, model, key=key) for model in (ours, "nothing"))
    assert _same(hidden, nothing, but=(ours, "nothing")) and hidden.status_code == 404
    looked_up, absent = (stage.models(base, key, f"/{model}") for model in (ours, "nothing"))
    assert _same(looked_up, absent, but=(ours, "nothing")) and looked_up.status_code == 404
    Route.objects.filter(name=ours).update(alias_of=Route.objects.get(name=theirs))
    stage.in_both(lambda at: stage.ask(at, ours).status_code == 404)
    assert f'"{ours}"' not in stage.models(base, stage.key()).text
    assert not stage.received(theirs)


def _problem(route: Route, *candidates: tuple[Deployment, int | None]) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as refused:
        save_route(route, candidates=candidates)
    return dict(refused.value.message_dict)


def test_what_a_route_may_not_be(stage: Stage, tenant_b: Tenant) -> None:
    path, name = _at_a_path(stage, says("a"), says("b"))
    row, theirs = Route.objects.get(name=name), stage.route(says("theirs"), tenant=tenant_b)
    alias = Route.objects.get(name=stage.alias(name))
    deployment = Deployment.objects.get(slug=f"{name}-0")
    other = Deployment.objects.get(slug=f"{name}-1")

    def new(**values: Any) -> Route:
        return Route(tenant=stage.tenant, name=unique("new"), **values)

    assert "Choose a route that is not an alias" in _problem(new(alias_of=alias))["alias_of"][0]
    assert "another tenant" in _problem(new(alias_of=Route.objects.get(name=theirs)))["alias_of"][0]
    row.alias_of = Route.objects.get(name=stage.route(says("target")))
    assert f"The route {alias.name} is another name for this one" in _problem(row)["alias_of"][0]
    alias.alias_of = alias
    assert "not an alias itself" in _problem(alias)["alias_of"][0]
    assert "Choose a policy" in _problem(new())["policy"][0]
    alias.refresh_from_db()
    assert "An alias has the candidates of its target" in _problem(alias, (deployment, None))["deployment"][0]
    policy = stage.tenant.policies.get(slug=name)
    assert f"The route {name} is served there" in _problem(new(path=path, policy=policy))["path"][0]
    assert "path" in _problem(new(path="Not a slug", policy=policy))
    for word in ("chat", "models", "admin", "infer", "embeddings", "completions", "healthz", "readyz"):
        assert "address of Relay" in _problem(new(path=word, policy=policy))["path"][0]
    for shares in ((70, 20), (70, None), (101, None)):
        candidates = list(zip((deployment, other), shares, strict=True))
        assert "share" in _problem(new(policy=policy), *candidates)
    assert not Route.objects.filter(name__startswith="new-").exists()


def test_shares_that_sql_left_wrong_are_no_split(stage: Stage) -> None:
    name = stage.route(says("a"), says("b"), shares=(70, 30))
    Route.objects.get(name=name).steps.filter(share=30).update(share=20)
    stage.in_both(lambda at: stage.trace(stage.ask(at, name)).plan_json["features"]["split"] is None)


def _arm(stage: Stage, answer: httpx.Response) -> dict[str, Any]:
    return dict(stage.trace(answer).plan_json["features"]["split"])


def test_a_split_says_why_each_request_went_where_it_went(base: str, stage: Stage) -> None:
    path, name = _at_a_path(stage, says("a"), says("b"), shares=(70, 30))
    answers = [stage.ask(base, "auto", path=path) for _ in range(12)]
    for answer in answers:
        trace = stage.trace(answer)
        split = trace.plan_json["features"]["split"]
        assert split["shares"] == {f"{name}-0": 70, f"{name}-1": 30} and split["sticky"] == "request"
        assert split["arm"] == trace.deployment == answer.headers["x-relay-model"]
        assert split["arm"] == (f"{name}-0" if split["draw"] < 0.7 else f"{name}-1")
        assert trace.plan_json["attempts"] == [split["arm"], *({f"{name}-0", f"{name}-1"} - {split["arm"]})]
        [why] = [one["why"] for one in trace.decision_trace_json if one["step"] == "split"]
        assert why == f"Split 70/30, by request: a draw of {split['draw']:.3f} is the arm {split['arm']}."


def test_a_key_stays_on_its_side(stage: Stage) -> None:
    name = stage.route(says("a"), says("b"), shares=(50, 50), row={"sticky": "key"})
    keys = [stage.new_key()[1] for _ in range(6)]
    arms = {key: {stage.ask(base, name, key=key).headers["x-relay-model"] for base in _both(stage) * 2} for key in keys}
    assert all(len(seen) == 1 for seen in arms.values()), "on both servers"


def test_a_user_stays_on_its_side(stage: Stage) -> None:
    name = stage.route(says("a"), says("b"), shares=(50, 50), row={"sticky": "user"})
    arms: dict[str, set[str]] = {}
    for user in map(str, range(16)):
        for base in _both(stage):
            arms.setdefault(user, set()).add(stage.ask(base, name, user=user).headers["x-relay-model"])
            header = stage.ask(base, name, headers={"x-relay-metadata": f"user={user}"})
            arms[user].add(header.headers["x-relay-model"])
    assert all(len(seen) == 1 for seen in arms.values())
    assert len(set.union(*arms.values())) == 2, "sixteen users are not all on one side"


def test_a_conversation_stays_on_its_side(base: str, stage: Stage) -> None:
    name = stage.route(says("a"), says("b"), shares=(50, 50), row={"sticky": "conversation"})
    seen: Counter[str] = Counter()
    for number in range(12):
        turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"question {number}"}]
        later = [*turns, {"role": "assistant", "content": "x"}, {"role": "user", "content": "and?"}]
        first, second = (
            stage.post(base, "chat/completions", model=name, messages=messages) for messages in (turns, later)
        )
        assert first.headers["x-relay-model"] == second.headers["x-relay-model"]
        seen[first.headers["x-relay-model"]] += 1
    assert len(seen) == 2


def test_an_arm_that_fails_is_answered_by_the_other_and_kept_for_nobody(base: str, stage: Stage) -> None:
    """Neither arm may be served what the other said, not even after a failover."""
    name = stage.route(refuses(500), says("from b"), shares=(100, 0), policy=CACHE)
    first, second = stage.ask(base, name), stage.ask(base, name)
    assert "from b" in first.text and stage.trace(first).outcome == "fell_back"
    assert [one.headers["x-relay-cache"] for one in (first, second)] == ["miss", "miss"]


def test_the_cache_keeps_the_arms_apart(base: str, stage: Stage) -> None:
    name = stage.route(says("from a"), says("from b"), shares=(50, 50), policy=CACHE)
    answers = [stage.ask(base, name) for _ in range(24)]
    assert {one.headers["x-relay-cache"] for one in answers} == {"miss", "exact"}
    for answer in answers:
        arm = _arm(stage, answer)["arm"]
        assert answer.json()["choices"][0]["message"]["content"] == ("from a" if arm.endswith("-0") else "from b")
    assert sum(one.headers["x-relay-cache"] == "miss" for one in answers) <= 2, "each arm asked once"


def test_a_split_shows_in_the_metrics(base: str, stage: Stage, settings: Any) -> None:
    settings.RELAY_METRICS_TOKEN = TOKEN
    name = stage.route(says("a"), says("b"), shares=(50, 50))
    before = _counted(stage, base, name)
    for _ in range(10):
        stage.ask(base, name)
    after = _counted(stage, base, name)
    assert sum(after.values()) - sum(before.values()) == 10
    assert set(after) <= {f"{name}-0", f"{name}-1"}


def _counted(stage: Stage, base: str, name: str) -> dict[str, float]:
    """Requests of the route by deployment."""
    found = {}
    for line in stage.http.get(f"{base}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text.splitlines():
        if line.startswith("relay_route_requests_total{") and f'route="{stage.tenant.slug}/{name}"' in line:
            found[line.split('deployment="')[1].split('"')[0]] = float(line.rsplit(" ", 1)[1])
    return found


def _both(stage: Stage) -> list[str]:
    return [stage.shells.express, stage.shells.drf]


def test_the_documentation_names_every_address(base: str, stage: Stage) -> None:
    schema = stage.http.get(f"{base}/api/schema?format=json").json()["paths"]
    for address in ("/v1/chat/completions", "/v1/{route}/chat/completions", "/v1/infer", "/v1/embeddings"):
        said = schema[address]["post"]
        assert said["requestBody"] and {"200", "400", "401", "404", "429", "503"} <= set(said["responses"])
