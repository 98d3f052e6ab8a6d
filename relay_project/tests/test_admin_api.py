"""The admin API: closed without its token, live in every process, and every act of it in the audit log."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver

from conftest import unique
from relay_project.admin_api import urls
from tenants import services
from tenants.core.apikeys import key_id_of
from tenants.models import ApiKey, AuditEntry, Quota, Tenant
from traces.tests.rows import make_trace

pytestmark = pytest.mark.django_db
TOKEN = "an-admin-token-of-at-least-thirty-two-characters"
Call = Callable[..., Any]
PATHS = [str(one.pattern) for one in urls.urlpatterns]


@pytest.fixture(autouse=True)
def with_token(settings: Any) -> None:
    settings.ADMIN_TOKEN, settings.SECURE_SSL_REDIRECT = TOKEN, False


def call(method: str, path: str, body: Any = None, *, token: str = TOKEN, status: int = 200) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    sent = "" if body is None else json.dumps(body)
    answer = Client().generic(method.upper(), f"/v1/admin/{path}", sent, "application/json", headers=headers)
    assert answer.status_code == status, answer.content
    return answer.json() if answer.content else None


def filled(path: str) -> str:
    return path.replace("<slug:slug>", "acme").replace("<slug:key_id>", "abc").replace("<int:pk>", "1")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_enters_without_the_token(method: str, tenant_a: Tenant, settings: Any) -> None:
    key = services.create_api_key(tenant=tenant_a, name=unique("curious"))[1]
    before = AuditEntry.objects.count()
    for path in map(filled, PATHS):
        for token in ("", key):
            error = call(method, path, token=token, status=401)["error"]
            assert error["code"] == "invalid_admin_token" and TOKEN not in str(error)
    for token in (TOKEN[:-1], TOKEN + "x", "ключ".encode().decode("latin-1")):
        call(method, "policy", token=token, status=401)
    settings.ADMIN_TOKEN = ""
    for path in map(filled, PATHS):
        assert call(method, path, token=TOKEN, status=404)["error"]["code"] == "not_found"
    call(method, "policy", token="", status=404)
    assert AuditEntry.objects.count() == before


def test_basic_authorization_with_the_token_is_refused() -> None:
    assert Client().get("/v1/admin/status", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401


@pytest.mark.parametrize(("token", "words"), [("short", "at least 32"), ("s" * 40, "one secret, one purpose")])
def test_a_token_that_is_short_or_used_twice_stops_the_start(token: str, words: str) -> None:
    environment = os.environ | {"ADMIN_TOKEN": token, "RELAY_SECRET_KEY": "s" * 40}
    run = subprocess.run(
        [sys.executable, "manage.py", "check"], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1 and words in run.stderr and token not in run.stderr


def test_a_tenant_is_made_changed_and_listed() -> None:
    slug = unique("shop")
    made = call("post", "tenants", {"slug": slug, "name": "The shop"}, status=201)
    assert made["slug"] == slug and made["active"] is True
    assert call("patch", f"tenants/{slug}", {"active": False})["active"] is False
    assert call("get", f"tenants/{slug}")["name"] == "The shop"
    entry = AuditEntry.objects.get(object="tenants_tenant", name=slug, action="changed")
    assert (entry.actor_kind, entry.address, entry.changes) == ("admin-token", "127.0.0.1", {"active": [True, False]})


def test_a_key_is_shown_once_and_revoked(tenant_a: Tenant) -> None:
    name = unique("api")
    made = call("post", "keys", {"tenant": "acme", "name": name, "scopes": ["chat"]}, status=201)
    assert key_id_of(made["key"]) == made["id"]
    listed = call("get", f"keys?tenant=acme&limit=1&after={made['id'][:-1]}")
    assert made["key"] not in json.dumps(listed) and "digest" not in json.dumps(listed)
    assert call("post", f"keys/{made['id']}/revoke")["revoked_at"]
    acts = AuditEntry.objects.filter(object="tenants_apikey", name=name).values_list("action", "actor_kind")
    assert list(acts) == [("revoked", "admin-token"), ("created", "admin-token")]
    assert made["key"] not in str(list(AuditEntry.objects.values()))


def test_a_quota_from_its_making_to_its_end(tenant_a: Tenant) -> None:
    key = services.create_api_key(tenant=tenant_a, name=unique("limited"))[0]
    given = {"tenant": "acme", "key": key.key_id, "metric": "tokens", "window": "day", "limit": 1000}
    made = call("post", "quotas", given, status=201)
    assert made == {"id": made["id"], **given, "timezone": "UTC", "hard": True}
    assert call("patch", f"quotas/{made['id']}", {"limit": 2000, "hard": False})["limit"] == 2000
    assert call("get", f"quotas/{made['id']}")["tenant"] == "acme"
    call("delete", f"quotas/{made['id']}", status=204)
    call("get", f"quotas/{made['id']}", status=404)
    acts = AuditEntry.objects.filter(object="tenants_quota", object_id=str(made["id"]), tenant="acme")
    assert list(acts.values_list("action", flat=True)) == ["deleted", "changed", "created"]


def test_a_key_of_another_tenant_takes_no_quota(tenant_a: Tenant, tenant_b: Tenant) -> None:
    theirs = services.create_api_key(tenant=tenant_b, name=unique("theirs"))[0]
    given = {"tenant": "acme", "key": theirs.key_id, "metric": "tokens", "window": "day", "limit": 5}
    assert call("post", "quotas", given, status=400)["error"]["param"] == "key"


@pytest.mark.parametrize(
    ("method", "path", "body", "param"),
    [
        ("post", "tenants", {"slug": "Not a slug"}, "slug"),
        ("post", "tenants", {"slug": "acme"}, "slug"),
        ("post", "tenants", {"slug": "x", "schema_name": "public"}, "schema_name"),
        ("post", "tenants", ["x"], ""),
        ("post", "keys", {"tenant": "nobody", "name": "x"}, "tenant"),
        ("post", "keys", {"tenant": "acme", "name": "x", "scopes": ["admin"]}, "scopes"),
        ("post", "quotas", {"tenant": "acme", "metric": "tokens", "window": "day", "limit": 0}, "limit"),
        (
            "post",
            "quotas",
            {"tenant": "acme", "metric": "tokens", "window": "day", "limit": 1, "timezone": "Mars"},
            "timezone",
        ),
        ("put", "policy", {"default_policy": "fastest"}, "default_policy"),
        ("put", "policy", {}, "default_policy"),
        ("get", "keys?limit=0", None, "limit"),
        ("get", "keys?limit=1000", None, "limit"),
        ("get", "quotas?after=x", None, "after"),
        ("get", "tenants?after=%00", None, "after"),
        ("post", "keys", {"tenant": "acme", "name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ("get", "keys?tenant=nobody", None, "tenant"),
        ("get", "usage?tenant=%00", None, "tenant"),
        ("get", "usage?from=yesterday", None, "from"),
        ("get", "usage?from=2026-01-01&to=2026-11-21", None, "from"),
        ("get", "usage?after=x", None, "after"),
    ],
)
def test_what_is_wrong_is_named(method: str, path: str, body: Any, param: str, tenant_a: Tenant) -> None:
    error = call(method, path, body, status=400)["error"]
    assert (error["param"] or "", error["type"]) == (param, "invalid_request_error") and len(error["message"]) > 10


def test_bad_json_and_a_wrong_method_have_the_same_shape() -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    broken = Client().put("/v1/admin/policy", "{", content_type="application/json", headers=headers)
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_json")
    for deep in ("[" * 20_000, '{"a":' * 20_000):
        answer = Client().generic("POST", "/v1/admin/tenants", deep, "application/json", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
    wrong = Client().delete("/v1/admin/policy", headers=headers)
    assert wrong.status_code == 405 and "PUT" in wrong.headers["Allow"] and "PUT" in wrong.json()["error"]["message"]
    assert call("get", "nothing", status=404)["error"]["code"] == "not_found"


def test_a_body_that_is_too_large_is_refused_as_such(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    error = call("post", "tenants", {"slug": "x", "name": "x" * 2_000}, status=413)["error"]
    assert error["code"] == "body_too_large" and "1,000" in error["message"]


def test_pages_follow_one_another_whatever_comes_meanwhile(tenant_a: Tenant) -> None:
    ids = {services.create_api_key(tenant=tenant_a, name=unique("many"))[0].key_id for _ in range(7)}
    met, after, more = [], "", True
    size = min(100, ApiKey.objects.filter(tenant=tenant_a).count() // 3)
    while more:
        found = call("get", f"keys?tenant=acme&limit={size}&after={after}")
        met += [row["id"] for row in found["data"]]
        more, after = found["has_more"], found["last_id"]
    assert len(met) == len(set(met)) == ApiKey.objects.filter(tenant=tenant_a).count() and ids <= set(met)


def test_usage_by_day_tenant_and_model(tenant_a: Tenant, tenant_b: Tenant) -> None:
    model, day = unique("model"), datetime(2031, 5, 6, 23, 59, tzinfo=UTC)
    used: dict[str, Any] = {"started_at": day, "model": model, "tokens_in": 10, "tokens_out": 5, "cost_microusd": 100}
    for tenant, outcome in ((tenant_a, "ok"), (tenant_a, "failed"), (tenant_b, "ok")):
        make_trace(tenant, outcome=outcome, **used)
    first = call("get", "usage?from=2031-05-01&to=2031-05-06&limit=1")
    assert first["data"] == [
        {
            "day": "2031-05-06",
            "tenant": "acme",
            "model": model,
            "requests": 2,
            "failed": 1,
            "cached": 0,
            "tokens_in": 20,
            "tokens_out": 10,
            "cost_microusd": 200,
            "saved_microusd": 0,
        }
    ]
    second = call("get", f"usage?from=2031-05-01&to=2031-05-06&limit=1&after={first['last_id']}")
    assert [row["tenant"] for row in second["data"]] == ["globex"] and not second["has_more"]
    mine = call("get", "usage?from=2031-05-01&to=2031-05-06&tenant=globex")
    assert [(row["tenant"], row["requests"]) for row in mine["data"]] == [("globex", 1)]


def test_the_audit_log_newest_first_and_of_one_tenant(tenant_a: Tenant, tenant_b: Tenant) -> None:
    for tenant in (tenant_a, tenant_b):
        Quota.objects.create(tenant=tenant, metric="cost", window="minute", limit=5).delete()
    found = call("get", "audit?tenant=acme&limit=2")
    assert [row["action"] for row in found["data"]] == ["deleted", "created"]
    assert {row["tenant"] for row in found["data"]} == {"acme"}
    older = call("get", f"audit?tenant=acme&limit=2&after={found['last_id']}")
    assert not {row["id"] for row in older["data"]} & {row["id"] for row in found["data"]}


def test_a_reload_is_an_act() -> None:
    assert call("post", "providers/reload")["status"] == "reloading"
    entry = AuditEntry.objects.first()
    assert entry is not None and (entry.action, entry.actor_kind) == ("reloaded", "admin-token")


def test_the_documentation_has_every_endpoint() -> None:
    schema = Client().get("/api/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    for one in urls.urlpatterns:
        path = "/v1/admin/" + str(one.pattern).replace("<slug:", "{").replace("<int:", "{").replace(">", "}").replace(
            "{pk", "{id"
        )
        assert path in schema["paths"], path
    assert "AuditList" in schema["components"]["schemas"]
    references = {text.split('"')[0] for text in json.dumps(schema).split("#/components/schemas/")[1:]}
    assert references <= schema["components"]["schemas"].keys()
    assert get_resolver().resolve("/v1/admin/status")
