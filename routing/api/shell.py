"""What both shells share: headers and bytes in, a reply out. Neither knows more than this."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from routing import pipeline
from routing.api import lasting
from routing.api.request_id import request_id_of
from routing.core.request import Called, ChatRequest, InvalidRequest, checked_key, parse_cache_header
from routing.errors import ErrorReply, describe
from routing.exchange import Head
from routing.headers import headers_of
from routing.kinds import KINDS
from routing.pipeline import JSON, Reply
from routing.runtime import Runtime
from tenants.auth import Caller, authenticate, require
from traces.core.trace_context import Parent, read_traceparent

MAX_METADATA = 16
ROUTE_PATH = r"v1/(?P<route>[a-z0-9][a-z0-9-]{0,47})/chat/completions"  # a slug, as Route.path is

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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A kind of request (``kinds.KINDS``) and, if it came by one, a route's path."""

    kind: str = "chat"
    path: str = ""


async def answer(runtime: Runtime, endpoint: Endpoint, headers: Headers, read_body: ReadBody) -> Reply:
    """Answers every request; an error is a reply too."""
    request_id = request_id_of(headers)
    try:
        caller = caller_of(runtime, headers, "chat")
    except Exception as error:
        return error_reply(describe(error), {"x-request-id": request_id})
    try:
        request = await _read(endpoint, headers, read_body, request_id)
    except Exception as error:
        reply = describe(error)
        called = Called(request_id, endpoint.kind, endpoint.path, parent=_parent(headers))
        exchange = runtime.begin(caller, ChatRequest.unreadable(called))
        await runtime.refuse(exchange, reply)
        return error_reply(reply, headers_of(exchange, runtime.clock()))
    complete = lasting.complete if lasting.wanted(headers) else pipeline.complete
    try:
        return await complete(runtime, caller, request)
    except pipeline.Refused as refused:
        return error_reply(describe(refused.error), refused.headers)


async def _read(endpoint: Endpoint, headers: Headers, read_body: ReadBody, request_id: str) -> ChatRequest:
    raw = await read_body()
    called = Called(
        request_id,
        endpoint.kind,
        endpoint.path,
        parse_cache_header(headers.get("x-relay-cache", "")),
        _metadata(headers.get("x-relay-metadata", "")),
        checked_key(headers.get("idempotency-key", "")),
        _parent(headers),
        headers.get("x-relay-policy", ""),
    )
    return KINDS[endpoint.kind].parse(raw, called)


def _parent(headers: Headers) -> Parent | None:
    return read_traceparent(header) if (header := headers.get("traceparent")) else None


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
