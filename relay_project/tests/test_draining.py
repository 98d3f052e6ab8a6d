"""A web process that is told to end: nobody's request is lost. Real uvicorn processes, a provider that waits."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from django.conf import settings
from django.db import transaction
from django_tenants.utils import tenant_context
from redis import Redis

from conftest import eventually, unique
from relay_project.embedded.ports import free_port
from routing.models import Deployment, Provider, Route, RouteCandidate
from routing.services import import_policy
from routing.tests.stage import NO_CACHE
from routing.tests.upstream import DONE, Body, FakeProvider, chunk, event, says
from tenants.models import Tenant
from tenants.services import create_api_key
from traces.models import Trace
from traces.writer import TraceWriter

Web = tuple["subprocess.Popen[bytes]", httpx.Client]


class Scene:
    """Two models: ``patient`` says a word, and the rest when ``more`` is set; ``quick`` answers at once."""

    def __init__(self, fake: FakeProvider, tenant: Tenant) -> None:
        self.tenant, self.more = tenant, threading.Event()
        self.patient, self.quick = unique("patient"), unique("quick")
        slowly = says("here", "and", "there", gap_s=0.05)
        fake.scripts.update({self.patient: self._says_one_word_and_waits, self.quick: slowly})
        with transaction.atomic():
            provider = Provider.objects.create(slug=unique("fake"), name="Fake", base_url=fake.url, allow_private=True)
            policy = import_policy(tenant=tenant, slug=unique("plain"), text=NO_CACHE, activated=True)[0].policy
            for name in (self.patient, self.quick):
                route = Route.objects.create(tenant=tenant, name=name, policy=policy)
                deployment = Deployment.objects.create(slug=name, provider=provider, model=name)
                RouteCandidate.objects.create(route=route, deployment=deployment)
            self.key = create_api_key(tenant=tenant, name=unique("key"))[1]

    async def _says_one_word_and_waits(self, request: web.Request, body: Body) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event(chunk({"content": "first"})))
        await asyncio.to_thread(self.more.wait, 60)
        await response.write(event(chunk({"content": "last"})) + event(chunk({}, "stop")) + DONE)
        return response

    def body(self, model: str, **more: Any) -> dict[str, Any]:
        return {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}

    def is_recorded(self, trace_id: str) -> bool:
        with closing(Redis.from_url(settings.REDIS_URL)) as client:
            TraceWriter(client, unique("writer")).run(once=True)
        with tenant_context(self.tenant):
            return bool(Trace.objects.filter(pk=trace_id, outcome="ok").exists())


@pytest.fixture
def scene(committed: None, tenant_a: Any) -> Iterator[Scene]:
    with closing(FakeProvider()) as fake:
        yield Scene(fake, tenant_a)


@contextmanager
def web_process(*options: str, scene: Scene, **environment: str) -> Iterator[Web]:
    port = free_port()
    command = (sys.executable, "-m", "uvicorn", "relay_project.asgi:application", "--port", str(port), *options)
    process = subprocess.Popen(
        [*command, "--log-level", "error"], env={**os.environ, **environment}, start_new_session=True
    )
    headers = {"Authorization": f"Bearer {scene.key}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
            eventually(lambda: status(client, "/v1/readyz") == 200)
            yield process, client
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def status(client: httpx.Client, path: str) -> int:
    """0: nobody answers there (the parent of several processes has the port until it ends, too)."""
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return 0


def test_first_not_ready_then_closed_and_every_stream_ends_whole(scene: Scene) -> None:
    asked = scene.body(scene.patient, stream=True)
    with (
        web_process(scene=scene, RELAY_DRAIN_S="600") as (process, client),
        client.stream("POST", "/v1/chat/completions", json=asked) as stream,
    ):
        lines = stream.iter_lines()
        assert "first" in next(lines)

        process.send_signal(signal.SIGTERM)
        eventually(lambda: status(client, "/v1/readyz") == 503)
        late = client.post("/v1/chat/completions", json=scene.body(scene.quick))
        assert (late.status_code, late.headers["connection"]) == (200, "close"), "served, but asked to go elsewhere"

        process.send_signal(signal.SIGTERM)  # as if the time had passed
        eventually(lambda: status(client, "/health") == 0)

        scene.more.set()
        rest = [line for line in lines if line]
        assert "last" in rest[0] and rest[-1] == "data: [DONE]"
        assert process.wait(timeout=60) == -signal.SIGTERM
    assert scene.is_recorded(stream.headers["x-relay-trace-id"])
    assert scene.is_recorded(late.headers["x-relay-trace-id"])


def test_all_processes_of_a_server_end_by_themselves(scene: Scene) -> None:
    with web_process("--workers", "2", scene=scene, RELAY_DRAIN_S="5") as (process, client):
        process.send_signal(signal.SIGTERM)
        eventually(lambda: status(client, "/v1/readyz") == 503)
        eventually(lambda: status(client, "/health") == 0)
        assert process.wait(timeout=60) == 0


def test_processes_are_replaced_under_load_and_no_request_is_lost(scene: Scene) -> None:
    options = ("--workers", "2", "--timeout-worker-healthcheck", "60")
    with web_process(*options, scene=scene, RELAY_DRAIN_S="3") as (process, client), clients(scene, client) as ended:
        eventually(lambda: len(ended) > 20)
        first = children(process)
        process.send_signal(signal.SIGHUP)
        eventually(lambda: len(now := children(process)) == 2 and not now & first, within_s=120)
        since = len(ended)
        eventually(lambda: len(ended) > since + 20)
    assert set(ended) == {"whole"}


def children(process: "subprocess.Popen[bytes]") -> set[str]:
    """Those that serve: uvicorn starts each by Python's spawn."""
    found = set(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    return {pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


@contextmanager
def clients(scene: Scene, like: httpx.Client) -> Iterator[list[str]]:
    """Four clients that ask again and again, two of them for streams; how each request ended."""
    ended: list[str] = []
    enough = threading.Event()

    def ask(stream: bool) -> None:
        with httpx.Client(base_url=like.base_url, headers=like.headers, timeout=30) as client:
            while not enough.is_set():
                ended.append(_ending(client, scene.body(scene.quick, stream=stream)))

    threads = [threading.Thread(target=ask, args=(stream,)) for stream in (True, False) * 2]
    for thread in threads:
        thread.start()
    try:
        yield ended
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def _ending(client: httpx.Client, body: dict[str, Any]) -> str:
    try:
        answer = client.post("/v1/chat/completions", json=body)
    except httpx.TransportError as error:
        return repr(error)
    whole = answer.text.rstrip().endswith("[DONE]") if body["stream"] else answer.status_code == 200
    return "whole" if whole else f"{answer.status_code} {answer.text}"


def test_without_redis_it_stays_ready_since_all_others_would_be_as_unready(scene: Scene) -> None:
    with web_process(scene=scene, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0") as (_, client):
        assert client.get("/v1/readyz").json() == {
            "status": "degraded",
            "checks": {"configuration": True, "redis": False},
        }
