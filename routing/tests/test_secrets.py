"""Planted secrets: however a request ends, none of them is found in anything that Relay writes, shows or answers."""

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import orjson
import pytest
import redis
from aiohttp import web
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django_tenants.utils import tenant_context

from conftest import eventually, unique
from routing import snapshot
from routing.credentials import set_credential
from routing.models import Deployment, Provider, Route, RouteCandidate
from routing.services import import_policy
from routing.tests.stage import CACHE, Stage
from routing.tests.upstream import Body, Script, says
from tenants.models import Membership, User
from traces.models import Trace

OF_THE_TESTS = ("httpx", "httpcore", "openai", "hypothesis")  # clients that run in this process
ENVIRONMENT, PLATFORM, OWN = (f"sk-planted-{word}-{unique('x')}-0123456789" for word in ("env", "platform", "own"))
KEY_OF_THE_ENVIRONMENT = "PLANTED_API_KEY"
ASKED_WITH: set[str] = set()


class Everything(logging.Handler):
    """All that is logged, with every field and the traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(OF_THE_TESTS):
            formatted = logging.Formatter("%(message)s").format(record)
            self.lines.append(f"{formatted} {record.__dict__!r}")


@pytest.fixture
def log() -> Iterator[Everything]:
    root, handler = logging.getLogger(), Everything()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


def quotes(
    status: int, content_type: str = "application/json", form: str = '{"error": {"message": "bad key %s"}}'
) -> Script:
    """Refuses, and says in its refusal with which credential it was asked."""

    async def script(request: web.Request, _: Body) -> web.StreamResponse:
        credential = request.headers["Authorization"]
        ASKED_WITH.add(credential)
        headers = {"X-Seen": credential}
        return web.Response(text=form % credential, status=status, headers=headers, content_type=content_type)

    return script


def route_over(stage: Stage, script: Script) -> str:
    """A route whose candidates are asked with each kind of credential; they all do the same, the last one answers."""
    name = unique("planted")
    with transaction.atomic():
        import_policy(tenant=stage.tenant, slug=name, text=CACHE, activated=True)
        route = Route.objects.create(tenant=stage.tenant, name=name, policy=stage.tenant.policies.get(slug=name))
        scripts = {"env": script, "platform": script, "own": script, "last": says("fine")}
        for position, (kind, does) in enumerate(scripts.items()):
            provider = Provider.objects.create(
                slug=unique(kind),
                name=kind,
                base_url=stage.fake.url,
                allow_private=True,
                credential_env=KEY_OF_THE_ENVIRONMENT if kind == "env" else "",
            )
            if kind == "platform":
                set_credential(provider=provider, tenant=None, secret=PLATFORM)
            if kind == "own":
                set_credential(provider=provider, tenant=None, secret=PLATFORM)
                set_credential(provider=provider, tenant=stage.tenant, secret=OWN)
            slug = f"{name}-{position}"
            stage.fake.scripts[slug] = does
            row = Deployment.objects.create(slug=slug, provider=provider, model=slug)
            RouteCandidate.objects.create(route=route, deployment=row, position=position)
    stage.in_both(lambda base: name in stage.models(base, stage.key()).text)
    return name


def shown_in_the_console(stage: Stage, model: str) -> Iterator[str]:
    """To staff and to the tenant's owner: lists and pages of everything that could know a credential."""
    route = Route.objects.get(name=model)
    trace_ids = [trace.pk for trace in _traces(stage)]
    pages = ["provider/", "deployment/", "route/", "policy/", f"route/{route.pk}/change/"]
    for step in route.steps.select_related("deployment"):
        pages += [f"deployment/{step.deployment_id}/change/"]
        pages += [f"provider/{step.deployment.provider_id}/{page}/" for page in ("change", "credential", "history")]
    addresses = [f"/admin/routing/{page}" for page in pages]
    addresses += ["/admin/", "/admin/traces/", "/admin/tenants/apikey/", *(f"/admin/traces/{pk}/" for pk in trace_ids)]
    staff = User.objects.create_user(unique("staff"), is_staff=True, is_superuser=True)
    owner = User.objects.create_user(unique("owner"), is_staff=True)
    Membership.objects.create(user=owner, tenant=stage.tenant, role=Membership.Role.OWNER)
    for person, tenants in ((staff, ("all", stage.tenant.slug)), (owner, (stage.tenant.slug,))):
        client = Client()
        client.force_login(person)
        for tenant in tenants:
            for address in addresses:
                answer = client.get(address, {"tenant": tenant}, follow=True)
                assert answer.status_code in (200, 404)
                yield answer.content.decode() if not answer.streaming else b"".join(answer).decode()


def _traces(stage: Stage) -> list[Any]:
    with tenant_context(stage.tenant):
        return list(Trace.objects.filter(route__startswith="planted"))


def in_redis() -> str:
    store = redis.Redis.from_url(settings.REDIS_URL)
    reads: dict[bytes, Any] = {
        b"string": store.get,
        b"stream": store.xrange,
        b"hash": store.hgetall,
        b"list": store.lrange,
    }
    found = []
    for key in store.scan_iter():
        kind = store.type(key)
        more = (0, -1) if kind == b"list" else ()
        found.append(repr((key, reads[kind](key, *more) if kind in reads else None)))
    store.close()
    return "\n".join(found)


def output_of(command: str, *arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out, stderr=out, **options)
    return out.getvalue()


def test_no_credential_is_found_anywhere(stage: Stage, log: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_OF_THE_ENVIRONMENT, ENVIRONMENT)
    client_key = stage.key()
    planted = [ENVIRONMENT, PLATFORM, OWN, client_key.partition("_")[2]]
    found: dict[str, str] = {}
    in_a_stream = 'data: {"error": {"message": "bad key %s"}}\n\n'
    scripts = [*map(quotes, (500, 401, 429, 400, 302, 200)), quotes(200, "text/event-stream", in_a_stream)]
    models = [route_over(stage, script) for script in scripts]
    for base, model in zip((stage.shells.express, stage.shells.drf) * len(models), models, strict=False):
        for stream in (False, True):
            answer = stage.ask(base, model, said=unique("hello"), stream=stream)
            found[f"answer of {model}, {stream}"] = f"{answer.status_code} {answer.headers!r} {answer.text}"
    assert {f"Bearer {secret}" for secret in planted[:3]} <= ASKED_WITH

    eventually(lambda: len(_traces(stage)) == 2 * len(models))
    with tenant_context(stage.tenant):
        rows = Trace.objects.filter(route__startswith="planted").values()
        found["traces"] = json.dumps(list(rows), default=str)
    for base in (stage.shells.express, stage.shells.drf):
        for path in ("/metrics", "/api/docs", "/api/schema", "/v1/readyz", "/v1/models"):
            headers = {"Authorization": f"Bearer {client_key}"}
            found[f"{base}{path}"] = stage.http.get(f"{base}{path}", headers=headers, follow_redirects=True).text
    found["console"] = "\n".join(shown_in_the_console(stage, models[0]))
    found["policy_export"] = output_of("policy_export", models[0], tenant=stage.tenant.slug)
    found["dumpdata"] = output_of("dumpdata", "routing", "tenants", "admin")
    found["redis"] = in_redis()
    loaded = snapshot.load()
    held = orjson.dumps([target.credential for target in loaded.targets.values()]).decode()
    assert all(secret in held for secret in planted[:3])  # what is looked for is there to be found
    found["repr"] = f"{loaded!r} {loaded.targets!r}"
    found["log"] = "\n".join(log.lines)

    assert found["log"] and "attempt failed" in found["log"] and "planted" in found["console"]
    leaks = [(place, secret[:16]) for place, text in found.items() for secret in planted if secret in text]
    assert leaks == []
