"""The express shell: hot POST endpoints as a plain ASGI function ahead of Django (a tenth of a Django view's cost)."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from django.conf import settings

from routing import runtime as runtimes
from routing.api import shell
from routing.errors import BodyTooLarge, BodyTooSlow
from routing.pipeline import Reply

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

ENDPOINTS = {
    "/v1/chat/completions": shell.Endpoint("chat"),
    "/v1/infer": shell.Endpoint("infer"),
    "/v1/embeddings": shell.Endpoint("embeddings"),
}
ROUTE_PATH = re.compile(f"/{shell.ROUTE_PATH}")
BODY_TIMEOUT_S = 30.0


class Express:
    def __init__(self, otherwise: App) -> None:
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = endpoint_of(scope["path"])
        if endpoint is None or scope["method"] != "POST":
            await self._otherwise(scope, receive, send)
            return
        runtime = await runtimes.current()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        leaving = Departure(receive)
        try:
            await _send(await shell.answer(runtime, endpoint, headers, lambda: leaving.body(headers)), send)
        except asyncio.CancelledError:
            if not leaving.happened:
                raise  # the server stops
        finally:
            leaving.end()


def endpoint_of(path: str) -> shell.Endpoint | None:
    """None for what Django answers."""
    endpoint = ENDPOINTS.get(path)
    if endpoint is None and (by_route := ROUTE_PATH.fullmatch(path)):
        return shell.Endpoint("chat", by_route["route"])
    return endpoint


class Departure:
    """Reads the body, then watches for the client's going away, which cancels the request's own task."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self.happened = False

    async def body(self, headers: shell.Headers) -> bytes:
        """Raises BodyTooLarge, BodyTooSlow."""
        limit = settings.RELAY_MAX_BODY_BYTES
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise BodyTooLarge(limit)
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await self._read(limit)
        except TimeoutError:
            raise BodyTooSlow from None
        self._watch = asyncio.create_task(self._wait(asyncio.current_task()))
        return body

    def end(self) -> None:
        watch, self._watch = self._watch, None  # what a cancelled task raised holds this: no circle for the collector
        if watch is not None and not self.happened:
            watch.cancel()

    async def _read(self, limit: int) -> bytes:
        parts, size, more = [], 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.happened = True
                raise asyncio.CancelledError
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise BodyTooLarge(limit)
            parts.append(part)
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _wait(self, task: "asyncio.Task[Any] | None") -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.happened = True
        if task is not None:
            task.cancel()


async def _send(reply: Reply, send: Send) -> None:
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in reply.head.headers.items()]
    streams = reply.head.headers["content-type"].startswith("text/event-stream")
    async with aclosing(reply.body):
        if streams:
            await send({"type": "http.response.start", "status": reply.head.status, "headers": headers})
            async for part in reply.body:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        body = b"".join([part async for part in reply.body])
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": reply.head.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
