"""A model server of tests: answers with bytes, cut where the test wants, and remembers what it was asked."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from routing.providers.base import Adapter, Target
from routing.providers.outlet import Outlet


@dataclass(slots=True)
class ModelServer:
    status: int = 200
    parts: Sequence[bytes] = (b"",)
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False  # drop the connection after the last part
    asked: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sent_headers: list[Mapping[str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        self.asked.append(orjson.loads(await request.read()))
        self.sent_headers.append(dict(request.headers))
        response = web.StreamResponse(status=self.status, headers=dict(self.headers))
        await response.prepare(request)
        for part in self.parts:
            await response.write(part)
        if self.cut and request.transport is not None:
            request.transport.close()
        return response


@asynccontextmanager
async def serving(server: ModelServer, **target: Any) -> AsyncIterator[tuple[Outlet, Target]]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(application, host="127.0.0.1") as running, aclosing(Outlet()) as outlet:
        url = str(running.make_url("/")).rstrip("/")
        target = {"base_url": url, "allow_private": True, **target}
        yield outlet, Target("d", "p", "kind", "model-x", **target)


async def collect(adapter: Adapter, target: Target, payload: Mapping[str, Any], *, stream: bool) -> list[Any]:
    """All documents of a call, parsed."""
    groups = [group async for group in adapter.chat(target, payload, stream=stream)]
    assert all(groups)
    return [orjson.loads(document) for group in groups for document in group]
