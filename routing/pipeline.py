"""THE HOT PATH: one request from its plan to the last byte of its answer, top to bottom.

``complete`` gives the head of the reply or raises what ``errors.describe`` turns into one; the body follows. Whatever
happens, what was used is settled and the trace is safe before the client has the last byte.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

import orjson

from routing import answers
from routing.attempts import ask_in_order
from routing.core.request import ChatRequest
from routing.core.sse import DONE, frame
from routing.errors import describe
from routing.exchange import Exchange, Head
from routing.headers import headers_of
from routing.idempotency import earlier_answer
from routing.lookup import look_up
from routing.planning import plan_request
from routing.providers.base import ProviderError
from routing.runtime import Runtime
from routing.shadows.copying import offer
from tenants.auth import Caller

Body = AsyncGenerator[bytes, None]
EVENTS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no"}
JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Reply:
    """Close ``body`` (``aclosing``) also when the client leaves early: that is how the upstream is told to stop."""

    head: Head
    body: Body


class Refused(Exception):
    """What went wrong, with the headers that say of it what is known."""

    def __init__(self, error: Exception, headers: Mapping[str, str]) -> None:
        super().__init__(str(error))
        self.error, self.headers = error, headers


async def complete(runtime: Runtime, caller: Caller, request: ChatRequest) -> Reply:
    """Raises Refused with an error of ``errors.TABLE``; by then the refusal has its trace."""
    flow = _flow(runtime, runtime.begin(caller, request))
    head = await anext(flow)
    return Reply(cast(Head, head), cast(Body, flow))  # a head comes first, and only once


async def _flow(runtime: Runtime, exchange: Exchange) -> AsyncGenerator[Head | bytes, None]:
    try:
        plan_request(runtime, exchange)
        stored = await earlier_answer(runtime, exchange) or await look_up(runtime, exchange)
        if stored is not None:
            await runtime.finish(exchange, reused=stored)
            yield _head(runtime, exchange)
            yield _replayed(runtime, exchange, stored.answer)
            return
        async with aclosing(ask_in_order(runtime, exchange)) as groups:
            steps = (
                _streamed(runtime, exchange, groups) if exchange.request.stream else _whole(runtime, exchange, groups)
            )
            async with aclosing(steps):
                async for part in steps:
                    yield part
        offer(runtime, exchange)
    except (asyncio.CancelledError, GeneratorExit):
        runtime.abandon(exchange)
        raise
    except Exception as error:
        await runtime.refuse(exchange, describe(error))
        offer(runtime, exchange)
        raise Refused(error, headers_of(exchange, runtime.clock())) from error


async def _whole(
    runtime: Runtime, exchange: Exchange, groups: AsyncGenerator[list[bytes], None]
) -> AsyncGenerator[Head | bytes, None]:
    [[raw]] = [documents async for documents in groups]  # to its end: the slot is free before the trace is written
    exchange.answered(exchange.kind.read(raw))
    await runtime.finish(exchange, raw)
    yield _head(runtime, exchange)
    yield _rendered(runtime, exchange, raw)


async def _streamed(
    runtime: Runtime, exchange: Exchange, groups: AsyncGenerator[list[bytes], None]
) -> AsyncGenerator[Head | bytes, None]:
    """Events pass through as they come and are put together once, after the last."""
    last = DONE
    try:
        async for events in groups:
            if not exchange.events:
                exchange.first_content(runtime.clock())
                yield _head(runtime, exchange)
            exchange.keep(events)
            wanted = events if exchange.request.include_usage else [one for one in events if not answers.is_usage(one)]
            if wanted:
                yield frame(wanted)
        exchange.answered(answers.assemble(exchange.events))
    except ProviderError as error:
        if not exchange.events:
            raise
        exchange.broke_off(error)
        last = orjson.dumps(describe(error).body)
    await runtime.finish(exchange)
    yield frame([last])


def _head(runtime: Runtime, exchange: Exchange) -> Head:
    return Head(200, (EVENTS if exchange.request.stream else JSON) | headers_of(exchange, runtime.clock()))


def _rendered(runtime: Runtime, exchange: Exchange, answer: bytes) -> bytes:
    return exchange.kind.rendered(answer, exchange.draft, exchange.draft.since_start(runtime.clock()))


def _replayed(runtime: Runtime, exchange: Exchange, answer: bytes) -> bytes:
    if not exchange.request.stream:
        return _rendered(runtime, exchange, answer)
    events = answers.replay(orjson.loads(answer), include_usage=exchange.request.include_usage)
    return frame([*events, DONE])
