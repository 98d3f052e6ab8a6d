"""Requests that are finished though their client leaves: who asks again with the same Idempotency-Key gets the answer,
so that a job that is killed in mid-run and taken up again pays for nothing twice."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from routing import pipeline
from routing.core.request import ChatRequest
from routing.exchange import Head
from routing.pipeline import Refused, Reply
from routing.runtime import Runtime
from tenants.auth import Caller

Parts = asyncio.Queue[bytes | Exception | None]  # None: that was all


def wanted(headers: Mapping[str, str]) -> bool:
    """Without an Idempotency-Key nobody could ask for the answer, so it is given up as ever."""
    return headers.get("x-relay-departure") == "finish" and "idempotency-key" in headers


async def complete(runtime: Runtime, caller: Caller, request: ChatRequest) -> Reply:
    """As ``pipeline.complete``, in a task that the client's leaving does not cancel."""
    head: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
    parts: Parts = asyncio.Queue()
    runtime.background(_answer(runtime, caller, request, head, parts))
    return Reply(await asyncio.shield(head), _body(parts))


async def _answer(
    runtime: Runtime, caller: Caller, request: ChatRequest, head: "asyncio.Future[Head]", parts: Parts
) -> None:
    try:
        reply = await pipeline.complete(runtime, caller, request)
    except Refused as refused:
        head.set_exception(refused)
        return
    head.set_result(reply.head)
    try:
        async with aclosing(reply.body):
            async for part in reply.body:
                parts.put_nowait(part)
        parts.put_nowait(None)
    except Refused as refused:
        parts.put_nowait(refused)


async def _body(parts: Parts) -> AsyncGenerator[bytes, None]:
    while (part := await parts.get()) is not None:
        if isinstance(part, Exception):
            raise part
        yield part
