"""Embeddings without a server: all-MiniLM-L6-v2, the semantic cache's model, in this process. English, 384 wide."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from caching.embedders import LONGEST, WIDTH, embedder
from routing.core.embeddings import inputs_of
from routing.providers.base import ProviderError, Target
from routing.providers.http import refused

LONGEST_TEXT = 4_096  # characters; more are never 256 tokens, and counting the tokens of a book takes seconds


class MiniLm:
    async def chat(self, target: Target, payload: Mapping[str, Any], *, stream: bool) -> AsyncIterator[list[bytes]]:
        raise ProviderError("MiniLM makes embeddings only.", code="not_supported")
        yield []  # what makes this a generator, as callers expect

    async def embed(self, target: Target, payload: Mapping[str, Any]) -> bytes:
        """One text after the other, so that the cache's lookups come in between. It reports no usage."""
        if payload.get("dimensions") not in (None, WIDTH):
            raise refused(f"MiniLM's vectors have {WIDTH} dimensions.", "dimensions")
        inputs = inputs_of(payload)
        data = [
            {"object": "embedding", "index": index, "embedding": await _vector(item, _place(index, len(inputs)))}
            for index, item in enumerate(inputs)
        ]
        return orjson.dumps({"object": "list", "model": target.model, "data": data})


async def _vector(item: str | list[int], at: str) -> list[float]:
    if not isinstance(item, str):
        raise refused("MiniLM takes texts, not token numbers.", at)
    if embedder().busy:
        raise ProviderError("Too many texts wait to be embedded.", code="busy", status=429, retry_after_s=1)
    vector = await embedder().embed_text(item) if len(item) <= LONGEST_TEXT else None
    if vector is None:
        raise refused(f"MiniLM takes up to {LONGEST} tokens a text.", at)
    numbers: list[float] = vector.tolist()
    return numbers


def _place(index: int, inputs: int) -> str:
    return f"input[{index}]" if inputs > 1 else "input"
