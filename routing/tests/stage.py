"""What a test of the API needs: routes to scripted providers, live in both servers; keys; and the traces afterwards."""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from django.db import transaction
from django.db.models import Q
from django_tenants.utils import tenant_context

from conftest import Shells, eventually, unique
from routing.models import Deployment, Policy, Provider, Route
from routing.services import import_policy, save_route
from routing.tests.upstream import FakeProvider, Script
from tenants.models import ApiKey, Quota, Tenant
from tenants.services import create_api_key
from traces.models import Trace

BUCKETS = """\
buckets:
  short: {max_input_tokens: 300, max_output_tokens: 64}
  medium: {max_input_tokens: 900, max_output_tokens: 128}
"""
NO_CACHE = BUCKETS + "defaults: {lane: short, max_tokens: 64, cache: {exact: false}}"
CACHE = BUCKETS + "defaults: {lane: short, max_tokens: 64, cache: {exact: true}}"
SEMANTIC = BUCKETS + "defaults: {lane: short, max_tokens: 64, cache: {exact: false, semantic: true, threshold: 0.9}}"


class Stage:
    def __init__(self, shells: Shells, fake: FakeProvider, tenant: Tenant) -> None:
        self.shells, self.fake, self.tenant = shells, fake, tenant
        self.http = httpx.Client(timeout=30)
        self._keys: dict[str, str] = {}
        self._key_rows: list[int] = []
        self._names: list[str] = []
        self._slugs: list[str] = []
        self._provider = Provider.objects.create(
            slug=unique("fake"), name="Fake", base_url=fake.url, allow_private=True
        )

    def close(self) -> None:
        """All is taken away again: every server reads all rows anew at each change."""
        self.http.close()
        with transaction.atomic():
            routes = Route.objects.filter(Q(name__in=self._names) | Q(policy__slug__in=self._names))
            Route.objects.filter(alias_of__in=routes).delete()
            routes.delete()
            Policy.objects.filter(slug__in=self._names).delete()
            Deployment.objects.filter(slug__in=self._slugs).delete()
            ApiKey.objects.filter(pk__in=self._key_rows).delete()

    def key(self, tenant: Tenant | None = None) -> str:
        """The tenant's usual key."""
        tenant = tenant or self.tenant
        if tenant.slug not in self._keys:
            row, self._keys[tenant.slug] = create_api_key(tenant=tenant, name=unique("stage"))
            self._key_rows.append(row.pk)
        return self._keys[tenant.slug]

    def new_key(self, quota: dict[str, Any] | None = None, **values: Any) -> tuple[ApiKey, str]:
        """A key of its own, known to both servers."""
        with transaction.atomic():
            row, key = create_api_key(tenant=self.tenant, name=unique("key"), **values)
            if quota:
                Quota.objects.create(tenant=self.tenant, api_key=row, **quota)
        self._key_rows.append(row.pk)
        self.in_both(lambda base: self.models(base, key).status_code == 200)
        return row, key

    def in_both(self, holds: Callable[[str], object], *, within_s: float = 60.0) -> None:
        for base in (self.shells.express, self.shells.drf):
            eventually(lambda base=base: holds(base), within_s=within_s)  # type: ignore[misc]

    def route(
        self,
        *scripts: Script,
        tenant: Tenant | None = None,
        policy: str = NO_CACHE,
        provider: Provider | None = None,
        shares: Sequence[int] | None = None,
        row: dict[str, Any] | None = None,
        **deployment: Any,
    ) -> str:
        """A model of the tenant with these candidates in order, live in both servers when this returns. ``row``: more
        of the Route."""
        tenant, name = tenant or self.tenant, unique("model")
        self._names.append(name)
        with transaction.atomic():
            import_policy(tenant=tenant, slug=name, text=policy, activated=True)
            route = Route(tenant=tenant, name=name, policy=tenant.policies.get(slug=name), **(row or {}))
            deployments = self._deployments(name, scripts, {"provider": provider or self._provider, **deployment})
            parts: Sequence[int | None] = shares or [None] * len(scripts)
            save_route(route, candidates=list(zip(deployments, parts, strict=True)))
        self.in_both(lambda base: f'"{name}"' in self.models(base, self.key(tenant)).text)
        return name

    def _deployments(self, name: str, scripts: Sequence[Script], values: dict[str, Any]) -> Iterator[Deployment]:
        for position, script in enumerate(scripts):
            slug = f"{name}-{position}"
            self._slugs.append(slug)
            self.fake.scripts[slug] = script
            yield Deployment.objects.create(slug=slug, model=slug, **PRICES | values)

    def alias(self, target: str, **row: Any) -> str:
        """Another name for a route, live in both servers when this returns. ``row``: more of the Route."""
        name = unique("alias")
        self._names.append(name)
        route = Route(tenant=self.tenant, name=name, alias_of=Route.objects.get(name=target), **row)
        save_route(route, candidates=[])
        self.in_both(lambda base: f'"{name}"' in self.models(base, self.key()).text)
        return name

    def deployment(self, model: str, candidate: int = 0) -> Deployment:
        return Deployment.objects.get(slug=f"{model}-{candidate}")

    def models(self, base: str, key: str, name: str = "") -> httpx.Response:
        return self.http.get(f"{base}/v1/models{name}", headers={"Authorization": f"Bearer {key}"})

    def ask(self, base: str, model: str, said: str = "hello", *, key: str = "", **more: Any) -> httpx.Response:
        """``headers`` among ``more`` are sent as such, ``path`` is a route's; the rest goes into the body."""
        at = f"{path}/chat/completions" if (path := more.pop("path", "")) else "chat/completions"
        body = {"model": model, "messages": [{"role": "user", "content": said}], **more}
        return self.post(base, at, key=key, **body)

    def post(self, base: str, at: str, *, key: str = "", **body: Any) -> httpx.Response:
        """``headers`` in ``body`` are sent as such."""
        headers = {"Authorization": f"Bearer {key or self.key()}", **body.pop("headers", {})}
        return self.http.post(f"{base}/v1/{at}", json=body, headers=headers)

    def ask_together(self, base: str, model: str, times: int, **more: Any) -> list[httpx.Response]:
        with ThreadPoolExecutor(times) as pool:
            return list(pool.map(lambda number: self.ask(base, model, f"hello {number}", **more), range(times)))

    def begin(
        self,
        base: str,
        model: str,
        request_id: str,
        *,
        stream: bool,
        key: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> socket.socket:
        """A client of which the test holds the wire: it may leave at any moment."""
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        address = urlsplit(base)
        body = orjson.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": stream})
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key or self.key()}\r\n"
            f"X-Request-ID: {request_id}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        )
        client = socket.create_connection((address.hostname, address.port), timeout=5)
        client.sendall(head.encode() + body)
        return client

    def received(self, model: str, candidate: int = 0) -> list[dict[str, Any]]:
        return self.fake.received[f"{model}-{candidate}"]

    def trace(self, answer: httpx.Response, tenant: Tenant | None = None) -> Any:
        return self.trace_by(tenant, id=answer.headers["x-relay-trace-id"])

    def trace_by(self, tenant: Tenant | None = None, **wanted: Any) -> Any:
        with tenant_context(tenant or self.tenant):
            found = eventually(lambda: Trace.objects.filter(**wanted).first())  # workers may be starting
        return found


PRICES = {"price_in_microusd": 1_000_000, "price_out_microusd": 2_000_000}  # 1 and 2 micro-dollars a token
