"""One question to one deployment, past policies, caches and limits: does it answer, and how fast?"""

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from routing.providers import adapters
from routing.providers.base import Embeds, ProviderError, Target
from routing.providers.outlet import Outlet

QUESTION = "Answer with the one word: ready"
MAX_TOKENS = 16
LONGEST_S = 20.0
SHOWN = 120  # characters of the answer


@dataclass(frozen=True, slots=True)
class Probe:
    """``said``: the beginning of the answer, or why there is none."""

    answered: bool
    said: str
    latency_ms: float


async def probe(target: Target, serves: str) -> Probe:
    started = time.monotonic()
    try:
        async with asyncio.timeout(LONGEST_S), aclosing(Outlet()) as outlet:
            said, answered = await _answer(outlet, target, serves), True
    except TimeoutError:
        said, answered = f"It said nothing within {LONGEST_S:.0f} s.", False
    except ProviderError as error:
        said, answered = str(error), False
    return Probe(answered, said, (time.monotonic() - started) * 1000)


async def _answer(outlet: Outlet, target: Target, serves: str) -> str:
    """Raises ProviderError."""
    adapter = adapters(outlet)[target.kind]
    if serves == "embeddings" and isinstance(adapter, Embeds):
        return _vector(await adapter.embed(target, {"model": target.model, "input": [QUESTION]}))
    messages = [{"role": "user", "content": QUESTION}]
    payload = {"model": target.model, "messages": messages, "max_tokens": MAX_TOKENS}
    documents = [document async for group in adapter.chat(target, payload, stream=False) for document in group]
    return _text(documents[-1] if documents else b"{}")


def _text(document: bytes) -> str:
    said = _found(document, "choices", 0, "message", "content")
    if not isinstance(said, str):
        raise ProviderError("It answered something that is no chat completion.", code="garbage")
    return said.strip()[:SHOWN] or "(an empty text)"


def _vector(document: bytes) -> str:
    vector = _found(document, "data", 0, "embedding")
    if not isinstance(vector, list):
        raise ProviderError("It answered something that is no list of embeddings.", code="garbage")
    return f"a vector of {len(vector):,} numbers"


def _found(document: bytes, *path: str | int) -> Any:
    """None if it is not there."""
    try:
        found: Any = orjson.loads(document)
        for step in path:
            found = found[step]
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    return found
