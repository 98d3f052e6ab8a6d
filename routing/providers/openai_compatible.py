"""Everything that speaks OpenAI's chat API: llama.cpp, vLLM and most hosted vendors. Streams pass through unparsed."""

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
        headers = {"Authorization": f"Bearer {target.credential}"} if target.credential else {}
        async with post(self._outlet, target, "/chat/completions", payload, headers) as response:
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
