"""The header x-relay-policy: a policy, a strategy, or a version that is being proven. Each case through both shells."""

from datetime import timedelta

import httpx
import pytest
from django.utils import timezone

from conftest import unique
from routing.models import Policy
from routing.services import save_draft, serve_version
from routing.tests.stage import BUCKETS, Stage
from routing.tests.upstream import says
from tenants.models import ApiKey, Tenant

DRAFT = BUCKETS + "defaults: {lane: short, max_tokens: 7, cache: {exact: false}}"


@pytest.fixture(scope="module")
def model(stage: Stage) -> str:
    """Its policy, of the same name, has a draft v2 that is served, and a v3 that is not."""
    name = stage.route(says("the answer"))
    policy = Policy.objects.get(slug=name)
    serve_version(save_draft(policy=policy, text=DRAFT, base=1), timezone.now() + timedelta(hours=1))
    save_draft(policy=policy, text=DRAFT, base=2)
    stage.in_both(lambda at: _ask(stage, at, name, f"{name}@2").status_code == 200)
    return name


def _ask(stage: Stage, base: str, model: str, policy: str, key: str = "") -> httpx.Response:
    return stage.ask(base, model, key=key, headers={"x-relay-policy": policy})


def test_a_version_that_is_being_proven_plans_the_request(base: str, stage: Stage, model: str) -> None:
    answer = _ask(stage, base, model, f"{model}@2")
    assert answer.headers["x-relay-policy"] == f"{model}@2"
    assert stage.received(model)[-1]["max_tokens"] == 7
    assert stage.trace(answer).policy_version == 2


def test_the_active_version_may_be_named_by_any_key(base: str, stage: Stage, model: str) -> None:
    _, key = stage.new_key(scopes=[ApiKey.Scope.CHAT, ApiKey.Scope.MODELS])
    assert _ask(stage, base, model, f"{model}@1", key).headers["x-relay-policy"] == f"{model}@1"


def test_a_strategy_may_be_named(base: str, stage: Stage, model: str) -> None:
    assert stage.trace(_ask(stage, base, model, "cheapest")).strategy == "cheapest"


@pytest.mark.parametrize("version", ["3", "4", "", "two", "2@2"])
def test_a_version_that_nothing_proves_is_not_there(base: str, stage: Stage, model: str, version: str) -> None:
    answer = _ask(stage, base, model, f"{model}@{version}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "policy")


def test_a_key_without_the_scope_cannot_tell_it_from_none(base: str, stage: Stage, model: str) -> None:
    _, key = stage.new_key(scopes=[ApiKey.Scope.CHAT, ApiKey.Scope.MODELS])
    hidden, nothing = (_ask(stage, base, model, f"{model}@{number}", key) for number in (2, 9))
    assert hidden.status_code == nothing.status_code == 404
    assert hidden.text.replace("@2", "@9") == nothing.text


def test_another_tenant_cannot_tell_it_from_none(base: str, stage: Stage, model: str, tenant_b: Tenant) -> None:
    theirs = stage.route(says("x"), tenant=tenant_b)
    key = stage.key(tenant_b)
    hidden, nothing = (_ask(stage, base, theirs, name, key) for name in (f"{model}@2", f"{unique('no')}@2"))
    assert hidden.status_code == nothing.status_code == 404
    assert hidden.json()["error"]["code"] == nothing.json()["error"]["code"] == "policy_not_found"
