"""A provider that does as it is told: an HTTP server in a thread, with one script for each model name."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from aiohttp import web

Body = dict[str, Any]
Script = Callable[[web.Request, Body], Awaitable[web.StreamResponse]]
COMMON = {"id": "chatcmpl-fake", "created": 1_800_000_000, "model": "fake-1"}
USAGE = (5, 7)  # tokens in, tokens out
DONE = b"data: [DONE]\n\n"


class FakeProvider:
    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.received: defaultdict[str, list[Body]] = defaultdict(list)
        self.left: defaultdict[str, int] = defaultdict(int)  # how often Relay closed the connection before the end
        self.running: defaultdict[str, int] = defaultdict(int)
        self.peak: defaultdict[str, int] = defaultdict(int)  # most requests at once
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> str:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_post("/v1/chat/completions", self._answer)
        application.router.add_post("/v1/embeddings", self._answer)
        application.router.add_post("/v1/messages", self._answer)  # Anthropic
        application.router.add_post("/v1/model/{model}/converse-stream", self._answer)  # Bedrock
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body: Body = orjson.loads(await request.read())
        model = request.match_info.get("model") or body["model"]
        self.received[model].append(body)
        self.running[model] += 1
        self.peak[model] = max(self.peak[model], self.running[model])
        try:
            return await self.scripts[model](request, body)
        except (asyncio.CancelledError, ConnectionError):
            self.left[model] += 1
            raise
        finally:
            self.running[model] -= 1


def says(*words: str, usage: tuple[int, int] | None = USAGE, gap_s: float = 0, finish: str = "stop") -> Script:
    """A whole answer, or one chunk a word with ``gap_s`` before each."""

    async def script(request: web.Request, body: Body) -> web.StreamResponse:
        if not body.get("stream"):
            await asyncio.sleep(gap_s)
            return web.json_response(completion("".join(words), usage=usage, finish=finish))
        response = await _begin(request)
        for word in words:
            await asyncio.sleep(gap_s)
            await response.write(event(chunk({"content": word})))
        await response.write(event(chunk({}, finish)))
        if usage is not None and (body.get("stream_options") or {}).get("include_usage"):
            await response.write(event({**COMMON, "choices": [], "usage": _usage(usage)}))
        await response.write(DONE)
        return response

    return script


def embeds(*vectors: Any, usage: int | None = 3) -> Script:
    """These vectors, as they are."""

    async def script(request: web.Request, body: Body) -> web.StreamResponse:
        data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        answer: Body = {"object": "list", "model": "fake-embed", "data": data}
        if usage is not None:
            answer["usage"] = {"prompt_tokens": usage, "total_tokens": usage}
        return web.json_response(answer)

    return script


def refuses(status: int, body: Any = None, **headers: str) -> Script:
    async def script(request: web.Request, _: Body) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body or {"error": {"message": "no"}}, status=status, headers=named)

    return script


def hangs(*words: str) -> Script:
    """Says the words, then nothing more until Relay gives up."""

    async def script(request: web.Request, body: Body) -> web.StreamResponse:
        if words:
            response = await _begin(request)
            for word in words:
                await response.write(event(chunk({"content": word})))
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    return script


def dies(*words: str) -> Script:
    """Says the words, then the connection is cut."""

    async def script(request: web.Request, body: Body) -> web.StreamResponse:
        response = await _begin(request)
        for word in words:
            await response.write(event(chunk({"content": word})))
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return response

    return script


def sends(*parts: bytes, content_type: str = "text/event-stream") -> Script:
    """These bytes, each part on its own."""

    async def script(request: web.Request, body: Body) -> web.StreamResponse:
        response = await _begin(request, content_type)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(0.01)
        return response

    return script


def stalls(*parts: bytes, content_type: str = "text/event-stream") -> Script:
    """These bytes, then nothing more until Relay gives up."""

    async def script(request: web.Request, body: Body) -> web.StreamResponse:
        response = await _begin(request, content_type)
        for part in parts:
            await response.write(part)
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    return script


def drips(part: bytes, *, gap_s: float = 0.05, then: bytes = b"", content_type: str = "text/event-stream") -> Script:
    """These bytes, and again (or ``then``, if given) until Relay gives up."""

    async def script(request: web.Request, body: Body) -> web.StreamResponse:
        response = await _begin(request, content_type)
        await response.write(part)
        while True:
            await asyncio.sleep(gap_s)
            await response.write(then or part)

    return script


def later(seconds: float, script: Script) -> Script:
    async def slower(request: web.Request, body: Body) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await script(request, body)

    return slower


def in_turn(scripts: Sequence[Script]) -> Script:
    """Each request gets the next one; the last one stays."""
    left = list(scripts)

    async def script(request: web.Request, body: Body) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request, body)

    return script


def completion(text: str, *, usage: tuple[int, int] | None = USAGE, finish: str = "stop") -> Body:
    message = {"role": "assistant", "content": text}
    whole: Body = {
        **COMMON,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    return whole if usage is None else {**whole, "usage": _usage(usage)}


def chunk(delta: Body, finish: str | None = None) -> Body:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**COMMON, "object": "chat.completion.chunk", "choices": [choice]}


def event(document: Any) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _usage(usage: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}


async def _begin(request: web.Request, content_type: str = "text/event-stream") -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(request)
    return response
