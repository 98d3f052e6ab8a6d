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
_ERROR = {
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
_MODELS = {
    "type": "object",
    "properties": {
        "object": {"type": "string", "example": "list"},
        "data": {"type": "array", "items": {"type": "object", "properties": {"id": _TEXT, "owned_by": _TEXT}}},
    },
}


def _header(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description)


def _said(description: str, shape: dict[str, Any] = _ERROR) -> OpenApiResponse:
    return OpenApiResponse(response=shape, description=description)


_WHO = [
    _header("Authorization", "Bearer sk-relay-…"),
    _header("X-Tenant-Id", "May only confirm the key's tenant."),
    _header("X-Request-ID", "Sent back and kept in the trace; made up if absent."),
]
_REFUSED = {401: _said("No valid key."), 403: _said("The key may not do this.")}

CHAT: dict[str, Any] = {
    "tags": ["chat"],
    "summary": "Answer a conversation",
    "parameters": [
        *_WHO,
        _header("x-relay-cache", "no-cache, no-store or max-age=SECONDS"),
        _header("Idempotency-Key", "Repeats with the same key and body get the first one's answer, for a day."),
        _header("x-relay-metadata", "name=value, name=value: for the policy's rules"),
    ],
    "request": {"application/json": _CHAT_REQUEST},
    "responses": {
        200: _said("The answer; with “stream”: true, server-sent events that end with data: [DONE].", _COMPLETION),
        400: _said("The request is wrong; “param” names the field."),
        **_REFUSED,
        404: _said("No such model."),
        413: _said("The body is too large."),
        422: _said("This Idempotency-Key came with another request before."),
        429: _said("The lane is full or a quota is spent; see Retry-After."),
        503: _said("No provider answered; see Retry-After."),
    },
    "examples": [
        OpenApiExample(
            "A short question",
            value={"model": "local-ollama", "messages": [{"role": "user", "content": "What is an API gateway?"}]},
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
HEALTH: dict[str, Any] = {
    "tags": ["health"],
    "summary": "The process is alive",
    "responses": {200: _said("Alive.", _STATUS)},
}
READY: dict[str, Any] = {
    "tags": ["health"],
    "summary": "The process can serve: configuration loaded, Redis answers",
    "responses": {200: _said("Ready.", _STATUS), 503: _said("Not ready.", _STATUS)},
}
