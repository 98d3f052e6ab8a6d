"""One prompt of a run, asked through Relay itself with OpenAI's client, as any client of the tenant would.

Each question has an Idempotency-Key of its own and is finished although we leave (``x-relay-departure``): a worker that
takes a run over is given what was paid for already.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any
from uuid import UUID

import httpx2
from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI, Timeout
from openai.types.chat import ChatCompletionChunk

from evals.questions import Answer, Question

TIMEOUT = Timeout(600.0, connect=5.0)
TRIES, LONGEST_WAIT_S = 8, 30.0  # about a minute: as long as a restart of Redis or web may take
NEWS_S = 20.0  # by then every process knows a new key and a served version
BUSY = frozenset({409, 429, 502, 503, 504})

Sleep = Callable[[float], Awaitable[None]]


class Asker:
    """``about``: what tells the run's questions from all others, for their Idempotency-Keys."""

    def __init__(self, *, url: str, key: str, model: str, about: str, headers: Mapping[str, str]) -> None:
        self._client = AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=TIMEOUT)
        self._model, self._about, self._headers = model, about, dict(headers)
        self._began = monotonic()

    async def close(self) -> None:
        await self._client.close()

    async def ask(self, question: Question, sleep: Sleep = asyncio.sleep) -> Answer:
        """The answer, or after a few tries what stood in its way; a refusal that says when to come back is obeyed."""
        answer = Answer()
        for number in range(TRIES):
            answer = Answer()
            started = monotonic()
            try:
                await self._ask_once(question, answer, started)
                answer.latency_ms = (monotonic() - started) * 1000
                return answer
            except (APIError, httpx2.HTTPError) as error:
                answer.latency_ms = (monotonic() - started) * 1000
                wait_s = self._told(answer, error, number)
                if wait_s is None or number + 1 == TRIES:
                    return answer
                await sleep(wait_s)
        return answer

    async def _ask_once(self, question: Question, answer: Answer, started: float) -> None:
        body = {name: value for name, value in question.body.items() if name not in ("model", "stream")}
        name = f"{self._about}/{question.item}/{question.repetition}"
        headers = {**self._headers, "Idempotency-Key": name, "x-relay-departure": "finish"}
        reply = await self._client.chat.completions.with_raw_response.create(
            model=self._model,
            messages=body.pop("messages"),
            stream=True,
            stream_options={"include_usage": True},
            extra_body=body,
            extra_headers=headers,
        )
        _note_head(answer, reply.headers)
        said = _Said()
        async for chunk in reply.parse():
            if said.take(chunk) and answer.ttft_ms is None:
                answer.ttft_ms = (monotonic() - started) * 1000
        said.end(answer)

    def _told(self, answer: Answer, error: Exception, number: int) -> float | None:
        """Notes why there is no answer; seconds after which to ask again, None: that is final."""
        answer.error = f"{type(error).__name__}: {getattr(error, 'message', None) or error}"[:500]
        pause_s = min(LONGEST_WAIT_S, 0.5 * 2.0**number)
        if isinstance(error, APIConnectionError | httpx2.HTTPError):
            return pause_s
        if not isinstance(error, APIStatusError):
            return None  # an error within the stream: what came is charged
        _note_head(answer, error.response.headers)
        answer.error = f"{error.status_code}: {said_by(error)}"[:500]
        answer.outcome = "limited" if error.status_code == 429 else "failed"
        if error.status_code in (401, 404) and monotonic() - self._began < NEWS_S:
            return 0.3
        if error.status_code not in BUSY or error.response.headers.get("x-should-retry") == "false":
            return None
        try:
            return min(LONGEST_WAIT_S, max(0.1, float(error.response.headers["retry-after"])))
        except (KeyError, ValueError):
            return pause_s


def said_by(error: APIStatusError) -> str:
    body = error.body
    return str(body["message"]) if isinstance(body, dict) and body.get("message") else error.message


def _note_head(answer: Answer, headers: Mapping[str, str]) -> None:
    answer.cache = headers.get("x-relay-cache", "")
    trace_id = headers.get("x-relay-trace-id", "")
    answer.trace_id = UUID(trace_id) if trace_id else None


class _Said:
    """The first choice of a stream, put together."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.calls: dict[int, dict[str, str]] = {}
        self.usage: Any = None
        self.refused = False

    def take(self, chunk: ChatCompletionChunk) -> bool:
        """Whether it was content."""
        self.usage = chunk.usage or self.usage
        choice = next((one for one in chunk.choices if one.index == 0), None)
        if choice is None:
            return False
        delta = choice.delta
        self.refused |= bool(delta.refusal) or choice.finish_reason == "content_filter"
        said = (delta.content or "") + (delta.refusal or "")
        self.text.append(said)
        for call in delta.tool_calls or ():
            made = self.calls.setdefault(call.index, {"name": "", "arguments": ""})
            if call.function is not None:
                made["name"] += call.function.name or ""
                made["arguments"] += call.function.arguments or ""
        return bool(said or delta.tool_calls)

    def end(self, answer: Answer) -> None:
        """Calls of tools are an answer, too: as JSON, where no text was said."""
        calls = json.dumps(list(self.calls.values()), ensure_ascii=False) if self.calls else ""
        answer.text = ("".join(self.text) or calls).replace("\x00", "")
        answer.outcome = "refused" if self.refused else "ok"
        if self.usage is not None:
            answer.tokens_in, answer.tokens_out = self.usage.prompt_tokens, self.usage.completion_tokens
