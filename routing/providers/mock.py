"""A provider without a model: latency with a given mean and 95th percentile, errors at a given rate, from a seed.

Times are deadlines, counted from the call: on a busy machine the pauses of a stream do not add up their delays.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from routing.core.embeddings import estimate_inputs, inputs_of
from routing.core.features import estimate_input
from routing.providers.base import ProviderError, Target
from routing.providers.http import refused

REPLY = "a gateway receives each request and sends it to the model that fits it best"
WORDS = REPLY.split()
DIMENSIONS = 64
MOST_NUMBERS = 200_000  # in the vectors of one answer: about 0.1 s of work in the event loop
Z95 = 1.6449  # 95th percentile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Behaviour:
    """From Deployment.options. ``chunk_ms`` is the gap between the chunks of a stream."""

    mean_ms: float = 40.0
    p95_ms: float = 120.0
    error_rate: float = 0.0
    reply_tokens: int = 24
    chunk_ms: float = 0.0
    seed: int = 0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Behaviour":
        return cls(**{name: options[name] for name in cls.__slots__ if name in options})

    def latency_s(self, chance: random.Random) -> float:
        """Log-normal: from ln(p95 / mean) = Z95 * sigma - sigma^2 / 2."""
        if self.mean_ms <= 0:
            return 0.0
        ratio = math.log(max(1.0, self.p95_ms / self.mean_ms))
        sigma = Z95 - math.sqrt(max(0.0, Z95**2 - 2 * ratio))
        return (
            chance.lognormvariate(math.log(self.mean_ms) - sigma**2 / 2, sigma) / 1000 if sigma else self.mean_ms / 1000
        )


class Mock:
    def __init__(self) -> None:
        self._chance: dict[tuple[str, int], random.Random] = {}

    async def chat(self, target: Target, payload: Mapping[str, Any], *, stream: bool) -> AsyncIterator[list[bytes]]:
        behaviour = Behaviour.of(target.options)
        chance, due = await self._worked(target, behaviour)
        words = _words(payload, behaviour)
        usage = {"prompt_tokens": estimate_input(payload), "completion_tokens": len(words)}
        usage["total_tokens"] = sum(usage.values())
        common = {
            "id": f"chatcmpl-mock-{chance.getrandbits(48):012x}",
            "created": int(time.time()),
            "model": target.model,
        }
        finish = "length" if len(words) < behaviour.reply_tokens else "stop"
        if not stream:
            message = {"role": "assistant", "content": "".join(words)}
            choice = {"index": 0, "message": message, "finish_reason": finish}
            yield [orjson.dumps({**common, "object": "chat.completion", "choices": [choice], "usage": usage})]
            return
        common["object"] = "chat.completion.chunk"
        for number, word in enumerate(words, 1):
            if behaviour.chunk_ms:
                await _until(due + number * behaviour.chunk_ms / 1000)
            yield [_chunk(common, {"content": word}, None)]
        yield [_chunk(common, {}, finish), orjson.dumps({**common, "choices": [], "usage": usage})]

    async def embed(self, target: Target, payload: Mapping[str, Any]) -> bytes:
        """The same input has the same vector, of length 1; unlike inputs point anywhere."""
        behaviour = Behaviour.of(target.options)
        await self._worked(target, behaviour)
        width, inputs = payload.get("dimensions") or DIMENSIONS, inputs_of(payload)
        if width * len(inputs) > MOST_NUMBERS:
            raise refused("The mock makes fewer or shorter vectors at once.", "dimensions")
        data = [
            {"object": "embedding", "index": index, "embedding": _vector(f"{behaviour.seed}/{item}", width)}
            for index, item in enumerate(inputs)
        ]
        tokens = estimate_inputs(payload)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return orjson.dumps({"object": "list", "model": target.model, "data": data, "usage": usage})

    async def _worked(self, target: Target, behaviour: Behaviour) -> tuple[random.Random, float]:
        """After the time that the answer takes: the chance that decides more of it, and when that was due by the event
        loop's clock. Raises ProviderError."""
        key = (target.deployment, behaviour.seed)
        chance = self._chance.setdefault(key, random.Random(f"{target.deployment}/{behaviour.seed}"))
        delay, fails = behaviour.latency_s(chance), chance.random() < behaviour.error_rate
        due = asyncio.get_running_loop().time() + delay
        if delay:
            await _until(due)
        if fails:
            raise ProviderError("Answered 503.", code="http_503", status=503)
        return chance, due


async def _until(due: float) -> None:
    await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))


def _vector(seed: str, width: int) -> list[float]:
    chance = random.Random(seed)
    numbers = [chance.gauss(0, 1) for _ in range(width)]
    length = math.hypot(*numbers)
    return [number / length for number in numbers]


def _words(payload: Mapping[str, Any], behaviour: Behaviour) -> list[str]:
    limit = payload.get("max_completion_tokens") or payload.get("max_tokens") or behaviour.reply_tokens
    count = min(behaviour.reply_tokens, limit)
    return [(" " if index else "") + WORDS[index % len(WORDS)] for index in range(count)]


def _chunk(common: Mapping[str, Any], delta: Mapping[str, Any], finish: str | None) -> bytes:
    return orjson.dumps({**common, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
