"""The API by DRF: every endpoint with its schema and docs. Each view parses, calls one function, renders."""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

from adrf.views import APIView
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponse, HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from routing import runtime as runtimes
from routing.api import schema, shell
from routing.errors import BodyTooLarge
from routing.pipeline import Reply
from routing.snapshot import RouteEntry
from tenants.auth import Caller


class AnyAccept(BaseContentNegotiation):
    """The body decides what comes back (JSON or a stream), not the Accept header."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        return JSONRenderer(), "application/json"


class ApiView(APIView):  # type: ignore[misc]  # adrf is not typed
    content_negotiation_class = AnyAccept


def _headers(request: HttpRequest) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


async def _answer(request: Request, endpoint: shell.Endpoint) -> HttpResponseBase:
    runtime = await runtimes.current()
    django_request: HttpRequest = request._request
    reply = await shell.answer(runtime, endpoint, _headers(django_request), lambda: _body(django_request))
    return await render(reply)


class ChatCompletions(ApiView):
    @extend_schema(**schema.CHAT)
    async def post(self, request: Request) -> HttpResponseBase:
        return await _answer(request, shell.Endpoint("chat"))


class RouteCompletions(ApiView):
    @extend_schema(**schema.ROUTE_CHAT)
    async def post(self, request: Request, route: str) -> HttpResponseBase:
        return await _answer(request, shell.Endpoint("chat", route))


class Infer(ApiView):
    @extend_schema(**schema.INFER)
    async def post(self, request: Request) -> HttpResponseBase:
        return await _answer(request, shell.Endpoint("infer"))


class Embeddings(ApiView):
    @extend_schema(**schema.EMBEDDINGS)
    async def post(self, request: Request) -> HttpResponseBase:
        return await _answer(request, shell.Endpoint("embeddings"))


class Models(ApiView):
    @extend_schema(**schema.MODELS)
    async def get(self, request: Request) -> Response:
        runtime = await runtimes.current()
        caller = shell.caller_of(runtime, _headers(request._request), "models")
        data = [_as_model(route, caller) for route in runtime.snapshot.routes_of(caller)]
        return Response({"object": "list", "data": data})


class Model(ApiView):
    @extend_schema(**schema.MODEL)
    async def get(self, request: Request, name: str) -> Response:
        runtime = await runtimes.current()
        caller = shell.caller_of(runtime, _headers(request._request), "models")
        route, _ = runtime.snapshot.route(caller, name)
        return Response(_as_model(route, caller))


def _as_model(route: RouteEntry, caller: Caller) -> dict[str, Any]:
    return {
        "id": route.name,
        "object": "model",
        "created": route.created,
        "owned_by": "relay" if route.tenant_id is None else caller.tenant,
    }


class Nothing(ApiView):
    """Any other address below /v1: the error has the API's shape, not a web page's."""

    schema = None

    async def get(self, request: Request) -> Response:
        raise Http404

    post = put = patch = delete = get


class Health(ApiView):
    @extend_schema(**schema.HEALTH)
    async def get(self, request: Request) -> JsonResponse:
        return JsonResponse({"status": "ok"})


class Ready(ApiView):
    @extend_schema(**schema.READY)
    async def get(self, request: Request) -> JsonResponse:
        runtime = await runtimes.current()
        checks = {"configuration": runtime.loaded.is_set(), "redis": await runtime.redis.ping()}
        if not checks["configuration"]:
            return JsonResponse({"status": "unavailable", "checks": checks}, status=503)
        # Redis serves all processes: if its loss made one unready, it would take away even what needs no Redis.
        return JsonResponse({"status": "ok" if checks["redis"] else "degraded", "checks": checks})


async def _body(request: HttpRequest) -> bytes:
    try:
        return request.body
    except RequestDataTooBig:
        raise BodyTooLarge(settings.RELAY_MAX_BODY_BYTES) from None


async def render(reply: Reply) -> HttpResponseBase:
    """A reply of the pipeline as Django's response."""
    headers = dict(reply.head.headers)
    if headers["content-type"].startswith("text/event-stream"):
        return StreamingHttpResponse(_stream(reply), status=reply.head.status, headers=headers)
    async with aclosing(reply.body):
        body = b"".join([part async for part in reply.body])
    return HttpResponse(body, status=reply.head.status, headers=headers)


async def _stream(reply: Reply) -> AsyncIterator[bytes]:
    async with aclosing(reply.body):
        async for part in reply.body:
            yield part
