"""What both shells share: headers and bytes in, a reply out. Neither knows more than this."""

import re
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from routing import pipeline
from routing.core.request import ChatRequest, InvalidRequest, parse_chat
from routing.errors import ErrorReply, describe
from routing.exchange import Head
from routing.pipeline import JSON, Reply
from routing.runtime import Runtime
from tenants.auth import Caller, authenticate, require

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
MAX_METADATA = 16

Headers = Mapping[str, str]
ReadBody = Callable[[], Awaitable[bytes]]


def caller_of(runtime: Runtime, headers: Headers, scope: str) -> Caller:
    """Raises NotAuthenticated or NotAllowed."""
    caller = authenticate(
        runtime.snapshot.callers,
        runtime.door,
        authorization=headers.get("authorization", ""),
        tenant=headers.get("x-tenant-id", ""),
        now=runtime.now(),
    )
    require(caller, scope)
    return caller


async def chat(runtime: Runtime, headers: Headers, read_body: ReadBody) -> Reply:
    """Answers every request; an error is a reply too."""
    request_id = request_id_of(headers)
    try:
        caller = caller_of(runtime, headers, "chat")
    except Exception as error:
        return error_reply(describe(error), {"x-request-id": request_id})
    try:
        request = await _read(headers, read_body, request_id)
    except Exception as error:
        reply = describe(error)
        exchange = runtime.begin(caller, ChatRequest.unreadable(request_id))
        await runtime.refuse(exchange, reply)
        return error_reply(reply, exchange.headers(runtime.clock()))
    try:
        return await pipeline.complete(runtime, caller, request)
    except pipeline.Refused as refused:
        return error_reply(describe(refused.error), refused.headers)


async def _read(headers: Headers, read_body: ReadBody, request_id: str) -> ChatRequest:
    return parse_chat(
        await read_body(),
        request_id=request_id,
        cache_header=headers.get("x-relay-cache", ""),
        metadata=_metadata(headers.get("x-relay-metadata", "")),
        idempotency_key=headers.get("idempotency-key", ""),
    )


def request_id_of(headers: Headers) -> str:
    """The client's X-Request-ID if it is harmless (it is sent back and logged), else a new one."""
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else f"req-{secrets.token_hex(12)}"


def _metadata(header: str) -> dict[str, str]:
    """``name=value, name=value``."""
    pairs = [part.partition("=") for part in header.split(",") if part.strip()]
    if len(pairs) > MAX_METADATA or not all(name.strip() and equals for name, equals, _ in pairs):
        raise InvalidRequest(
            f"x-relay-metadata takes up to {MAX_METADATA} pairs: name=value, name=value.", "x-relay-metadata"
        )
    return {name.strip(): value.strip() for name, _, value in pairs}


def error_reply(reply: ErrorReply, headers: Mapping[str, str]) -> Reply:
    return Reply(Head(reply.status, {**JSON, **headers, **reply.headers}), _once(reply.raw))


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
