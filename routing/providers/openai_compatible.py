"""Everything that speaks OpenAI's API: llama.cpp, vLLM and most hosted vendors. Streams pass through unparsed."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from routing.core.sse import DONE, SseReader
from routing.providers.base import ProviderError, Target
from routing.providers.http import feed, post, read_all
from routing.providers.outlet import Outlet


class OpenAICompatible:
    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    async def chat(self, target: Target, payload: Mapping[str, Any], *, stream: bool) -> AsyncIterator[list[bytes]]:
        if stream:
            payload = {**payload, "stream_options": {**(payload.get("stream_options") or {}), "include_usage": True}}
        async with post(self._outlet, target, "/chat/completions", payload, _authorised(target)) as response:
            if not stream:
                yield [await read_all(response)]
                return
            reader = SseReader()
            async for data in response.content.iter_any():
                events = feed(reader, data)
                if DONE in events:
                    if events[0] != DONE:
                        yield events[: events.index(DONE)]
                    return
                if events:
                    yield events
        raise ProviderError("The stream ended before its end was announced.", code="stream_cut")

    async def embed(self, target: Target, payload: Mapping[str, Any]) -> bytes:
        async with post(self._outlet, target, "/embeddings", payload, _authorised(target)) as response:
            return await read_all(response)


def _authorised(target: Target) -> dict[str, str]:
    return {"Authorization": f"Bearer {target.credential}"} if target.credential else {}
