"""Send each request when it is due. With all connections busy it waits, and that wait is part of its latency."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from relay_project.loadgen.arrivals import Arrival
from relay_project.loadgen.results import Result, Results

LATE_S = 0.0005
WORD = "lorem "  # about a token and a half: 4 characters are counted as one


@dataclass(frozen=True, slots=True)
class Load:
    url: str
    headers: Mapping[str, str] = field(repr=False)
    prompt: str
    model: str = ""
    max_tokens: int | None = None
    unique: bool = False
    stream: bool = False
    timeout_s: float = 60.0
    concurrency: int = 128

    @property
    def path(self) -> str:
        return "/v1/chat/completions" if self.stream else "/v1/infer"

    def body(self, number: int, arrival: Arrival) -> bytes:
        prompt = self.prompt
        if arrival.input_tokens is not None:
            prompt = (WORD * (arrival.input_tokens * 4 // len(WORD) + 1)).strip()
        if self.unique:
            prompt = f"{prompt} ({number})"
        limit = self.max_tokens if arrival.output_tokens is None else arrival.output_tokens
        asked: dict[str, Any] = {"max_tokens": max(1, limit)} if limit is not None else {}
        asked |= {"model": self.model} if self.model else {}
        if self.stream:
            asked |= {"messages": [{"role": "user", "content": prompt}], "stream": True}
        else:
            asked |= {"prompt": prompt}
        return orjson.dumps(asked)


class Driver:
    """``results`` may be read while ``run`` is under way."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.results = Results()
        self._stop = asyncio.Event()
        self.started = 0.0

    async def run(self, arrivals: Iterable[Arrival], tick: Callable[[], None]) -> float:
        """Seconds from the first request to the last answer. After ``stop`` what is under way is still awaited."""
        connector = aiohttp.TCPConnector(limit=self.load.concurrency)
        timeout = aiohttp.ClientTimeout(total=self.load.timeout_s)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self.load.headers) as session:
            self.started = time.perf_counter()
            ticking = asyncio.create_task(_every_second(tick))
            try:
                async with asyncio.TaskGroup() as group:
                    for number, arrival in enumerate(arrivals):
                        if await self._stopped_before(arrival.due_s):
                            break
                        group.create_task(self._one(session, number, arrival))
            finally:
                ticking.cancel()
        return time.perf_counter() - self.started

    def stop(self) -> None:
        self._stop.set()

    async def _stopped_before(self, due_s: float) -> bool:
        left = self.started + due_s - time.perf_counter()
        if left > LATE_S:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), left)
        else:
            await asyncio.sleep(0)
        return self._stop.is_set()

    async def _one(self, session: aiohttp.ClientSession, number: int, arrival: Arrival) -> None:
        status: int | None = None
        headers: Mapping[str, str] = {}
        try:
            async with session.post(self.load.url + self.load.path, data=self.load.body(number, arrival)) as answer:
                status, headers = answer.status, answer.headers
                raw = await answer.read()
                kind = _kind(status, raw, stream=self.load.stream)
        except TimeoutError:
            kind = "timeout"
        except aiohttp.ClientConnectorError:
            kind = "connection refused"
        except aiohttp.ClientError as error:
            kind = f"broken: {type(error).__name__}"
        took = (time.perf_counter() - self.started - arrival.due_s) * 1000
        cache, provider = headers.get("x-relay-cache", ""), headers.get("x-relay-provider", "")
        self.results.add(Result(round(arrival.due_s, 6), round(took, 3), kind, status, cache, provider))


def _kind(status: int, raw: bytes, *, stream: bool) -> str:
    if status == 200:
        return "ok" if not stream or raw.endswith(b"data: [DONE]\n\n") else "stream broke off"
    try:
        code = orjson.loads(raw)["error"]["code"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        code = None
    return f"{status} {code}" if code else str(status)


async def _every_second(tick: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(1)
        tick()
