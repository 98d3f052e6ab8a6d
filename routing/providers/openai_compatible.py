"""Everything that speaks OpenAI's API: llama.cpp, vLLM and most hosted vendors. Streams pass through unparsed."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from routing.core.sse import DONE, EventTooLarge, SseReader
from routing.providers.base import ProviderError, Target
from routing.providers.http import post, read_all


class OpenAICompatible:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def chat(self, target: Target, payload: Mapping[str, Any], *, stream: bool) -> AsyncIterator[list[bytes]]:
        if stream:
            payload = {**payload, "stream_options": {**(payload.get("stream_options") or {}), "include_usage": True}}
        async with post(self._session, target, "/chat/completions", payload, _authorised(target)) as response:
            if not stream:
                yield [await read_all(response)]
                return
            reader = SseReader()
            async for data in response.content.iter_any():
                events = _feed(reader, data)
                if DONE in events:
                    if events[0] != DONE:
                        yield events[: events.index(DONE)]
                    return
                if events:
                    yield events
        raise ProviderError("The stream ended before its end was announced.", code="stream_cut")

    async def embed(self, target: Target, payload: Mapping[str, Any]) -> bytes:
        async with post(self._session, target, "/embeddings", payload, _authorised(target)) as response:
            return await read_all(response)


def _authorised(target: Target) -> dict[str, str]:
    return {"Authorization": f"Bearer {target.credential}"} if target.credential else {}


def _feed(reader: SseReader, data: bytes) -> list[bytes]:
    try:
        return reader.feed(data)
    except EventTooLarge:
        raise ProviderError("One event of the stream is over 1 MiB.", code="event_too_large") from None
