"""A provider that sends half an event and then nothing: whoever waits can leave, and the connection goes with him."""

import asyncio
from contextlib import aclosing
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from routing.providers import adapters
from routing.providers.base import Target
from routing.providers.outlet import Outlet
from routing.tests.test_anthropic import events, wire, words
from routing.tests.test_bedrock import events as bedrock_events
from routing.tests.test_bedrock import wire as bedrock_wire

PAYLOAD = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
LINE = b'{"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": false}\n'
BEGINNINGS = {
    "openai_compatible": CHUNK + CHUNK[:20],
    "anthropic": wire(*events(*words("Hi"))[:4])[:-20],
    "bedrock": bedrock_wire(*bedrock_events({"text": "Hi"})[:3])[:-20],
    "ollama": LINE + LINE[:20],
}


@pytest.mark.parametrize("kind", list(BEGINNINGS))
async def test_a_slow_drip_is_left_and_hung_up_on(kind: str) -> None:
    left = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(BEGINNINGS[kind])
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            left.set()
            raise
        return response

    application = web.Application()
    application.router.add_post("/{path:.*}", drip)
    async with (
        TestServer(application, host="127.0.0.1", handler_cancellation=True) as server,
        aclosing(Outlet()) as outlet,
    ):
        target = Target("d", "p", kind, "m", str(server.make_url("")), credential="a:b", allow_private=True)
        stream = cast(Any, adapters(outlet)[kind].chat(target, PAYLOAD, stream=True))
        async with aclosing(stream) as groups:
            assert await anext(groups)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(groups)
        async with asyncio.timeout(5):
            await left.wait()
