"""What /api/docs says of each endpoint."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

_TEXT: dict[str, Any] = {"type": "string"}
_MESSAGE = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {"type": "string", "enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}], "nullable": True},
    },
}
_CHAT_REQUEST = {
    "type": "object",
    "required": ["model", "messages"],
    "additionalProperties": True,
    "description": "OpenAI's chat request. What Relay does not interpret (tools, seed …) passes through.",
    "properties": {
        "model": {"type": "string", "description": "A name of GET /v1/models.", "example": "local-ollama"},
        "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
        "stream": {"type": "boolean", "default": False},
        "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
        "max_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
        "max_completion_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": "string", "nullable": True},
                "code": {"type": "string", "nullable": True},
            },
        }
    },
}
_STATUS = {"type": "object", "properties": {"status": {"type": "string", "example": "ok"}}}
_COMPLETION = {
    "type": "object",
    "properties": {
        "id": _TEXT,
        "object": {"type": "string", "example": "chat.completion"},
        "created": {"type": "integer"},
        "model": _TEXT,
        "choices": {"type": "array", "items": {"type": "object"}},
        "usage": {"type": "object"},
    },
}
_MAX_TOKENS = {"type": "integer", "minimum": 1, "maximum": 1_000_000}
_INFER_REQUEST = {
    "type": "object",
    "required": ["prompt"],
    "additionalProperties": False,
    "properties": {
        "prompt": {"type": "string", "minLength": 1},
        "policy": {
            "type": "string",
            "description": "One of your policies, or a strategy for the route’s own, such as cheapest.",
        },
        "max_tokens": _MAX_TOKENS,
        "model": {"type": "string", "description": "A name of GET /v1/models; the route “auto” if left out."},
    },
}
_INFER_ANSWER = {
    "type": "object",
    "properties": {
        "text": _TEXT,
        "provider": {"type": "string", "description": "Who answered; “cache” for a stored answer."},
        "model": _TEXT,
        "cost": {"type": "number", "description": "What this request cost, in dollars."},
        "latency_ms": {"type": "number"},
        "trace_id": {"type": "string", "format": "uuid"},
        "usage": {"type": "object"},
    },
}
_TOKENS = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}
_EMBEDDINGS_REQUEST = {
    "type": "object",
    "required": ["model", "input"],
    "additionalProperties": True,
    "properties": {
        "model": {"type": "string", "description": "A name of GET /v1/models.", "example": "minilm"},
        "input": {
            "oneOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"type": "string", "minLength": 1}},
                _TOKENS,
                {"type": "array", "minItems": 1, "maxItems": 2048, "items": _TOKENS},
            ]
        },
        "encoding_format": {"type": "string", "enum": ["float", "base64"], "default": "float"},
        "dimensions": {"type": "integer", "minimum": 1},
        "user": _TEXT,
    },
}
_EMBEDDING = {
    "type": "object",
    "properties": {
        "object": {"type": "string", "example": "embedding"},
        "index": {"type": "integer"},
        "embedding": {"oneOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string", "format": "byte"}]},
    },
}
_EMBEDDINGS = {
    "type": "object",
    "properties": {
        "object": {"type": "string", "example": "list"},
        "model": _TEXT,
        "data": {"type": "array", "items": _EMBEDDING},
        "usage": {"type": "object"},
    },
}
_MODEL = {
    "type": "object",
    "properties": {
        "id": _TEXT,
        "object": {"type": "string", "example": "model"},
        "created": {"type": "integer"},
        "owned_by": _TEXT,
    },
}
_MODELS = {
    "type": "object",
    "properties": {"object": {"type": "string", "example": "list"}, "data": {"type": "array", "items": _MODEL}},
}


def _header(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description)


def _said(description: str, shape: dict[str, Any] = ERROR) -> OpenApiResponse:
    return OpenApiResponse(response=shape, description=description)


_WHO = [
    _header("Authorization", "Bearer sk-relay-…"),
    _header("X-Tenant-Id", "May only confirm the key's tenant."),
    _header("X-Request-ID", "Sent back and kept in the trace; made up if absent."),
]
_REFUSED = {401: _said("No valid key."), 403: _said("The key may not do this.")}
_HOW = [
    *_WHO,
    _header("x-relay-cache", "no-cache, no-store, private or max-age=SECONDS"),
    _header("x-relay-policy", "a policy instead of the route's: its name, a strategy, or name@version"),
    _header("Idempotency-Key", "Repeats with the same key and body get the first one's answer, for a day."),
    _header("x-relay-departure", "finish: the request with this Idempotency-Key is finished though you leave"),
    _header("x-relay-metadata", "name=value, name=value: for the policy's rules"),
]


def _answers(good: OpenApiResponse, *, unknown: str) -> dict[int, OpenApiResponse]:
    return {
        200: good,
        400: _said("The request is wrong; “param” names the field."),
        **_REFUSED,
        404: _said(unknown),
        413: _said("The body is too large."),
        422: _said("This Idempotency-Key came with another request before."),
        429: _said("The lane is full or a quota is spent; see Retry-After."),
        503: _said("No provider answered; see Retry-After."),
    }


_ANSWERED = _said("The answer; with “stream”: true, server-sent events that end with data: [DONE].", _COMPLETION)
CHAT: dict[str, Any] = {
    "tags": ["chat"],
    "summary": "Answer a conversation",
    "parameters": _HOW,
    "request": {"application/json": _CHAT_REQUEST},
    "responses": _answers(_ANSWERED, unknown="No such model."),
    "examples": [
        OpenApiExample(
            "A short question",
            value={"model": "local-ollama", "messages": [{"role": "user", "content": "What is an API gateway?"}]},
            request_only=True,
        )
    ],
}
ROUTE_CHAT: dict[str, Any] = {
    "operation_id": "v1_route_chat_completions_create",
    "tags": ["chat"],
    "summary": "Answer a conversation by the route at this path",
    "description": "The path chooses the route, whatever “model” is sent (“auto”, for example, or none).",
    "parameters": [OpenApiParameter("route", str, OpenApiParameter.PATH, description="A route's path."), *_HOW],
    "request": {"application/json": {**_CHAT_REQUEST, "required": ["messages"]}},
    "responses": _answers(_ANSWERED, unknown="No route has this path."),
}
INFER: dict[str, Any] = {
    "tags": ["infer"],
    "summary": "Answer one prompt",
    "parameters": _HOW,
    "request": {"application/json": _INFER_REQUEST},
    "responses": _answers(_said("The answer and how it was made.", _INFER_ANSWER), unknown="No such model or policy."),
    "examples": [
        OpenApiExample(
            "A short question",
            value={"model": "mock", "prompt": "What is an API gateway?", "max_tokens": 60},
            request_only=True,
        )
    ],
}
EMBEDDINGS: dict[str, Any] = {
    "tags": ["embeddings"],
    "summary": "Turn texts into vectors",
    "parameters": _HOW,
    "request": {"application/json": _EMBEDDINGS_REQUEST},
    "responses": _answers(_said("One vector for each input, in its order.", _EMBEDDINGS), unknown="No such model."),
    "examples": [
        OpenApiExample(
            "Two texts",
            value={"model": "minilm", "input": ["What is an API gateway?", "What does a gateway do?"]},
            request_only=True,
        )
    ],
}
MODELS: dict[str, Any] = {
    "tags": ["chat"],
    "summary": "List the models that this key may use",
    "parameters": _WHO,
    "responses": {200: _said("The models.", _MODELS), **_REFUSED},
}
MODEL: dict[str, Any] = {
    "operation_id": "v1_model_retrieve",
    "tags": ["chat"],
    "summary": "One of the models that this key may use",
    "parameters": _WHO,
    "responses": {200: _said("The model.", _MODEL), **_REFUSED, 404: _said("There is no such model for this key.")},
}
HEALTH: dict[str, Any] = {
    "tags": ["health"],
    "summary": "The process is alive",
    "responses": {200: _said("Alive.", _STATUS)},
}
READY: dict[str, Any] = {
    "tags": ["health"],
    "summary": "The process can serve: configuration loaded, not about to end; degraded without Redis",
    "responses": {200: _said("Ready.", _STATUS), 503: _said("Not ready.", _STATUS)},
}
