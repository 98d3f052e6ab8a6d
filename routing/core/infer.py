"""Relay's own short form of a request, POST /v1/infer: a prompt in, a text out. Inside it is a chat of one message."""

from typing import Any

from routing.core.request import (
    ANY_MODEL,
    MAX_OUTPUT_TOKENS,
    Called,
    ChatRequest,
    InvalidRequest,
    check_integer,
    read_body,
    refuse_nul,
)

FIELDS = ("prompt", "policy", "max_tokens", "model")


def parse_infer(raw: bytes, called: Called) -> ChatRequest:
    """Raises InvalidRequest that names the field; a field that is not of this API is a mistake, too."""
    asked = read_body(raw)
    unknown = next((name for name in asked if name not in FIELDS), None)
    if unknown is not None:
        raise InvalidRequest(
            f"“{unknown[:80]}” is not a field of /v1/infer; it takes {', '.join(FIELDS)}.", unknown[:80]
        )
    prompt = asked.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidRequest("“prompt” must be text, and not empty.", "prompt")
    check_integer(asked, "max_tokens", 1, MAX_OUTPUT_TOKENS)
    model, policy = _name(asked, "model"), _name(asked, "policy")
    refuse_nul(raw, asked)
    body: dict[str, Any] = {"model": model or ANY_MODEL, "messages": [{"role": "user", "content": prompt}]}
    if asked.get("max_tokens") is not None:
        body["max_tokens"] = asked["max_tokens"]
    return ChatRequest(
        body=body,
        model=model,
        stream=False,
        include_usage=False,
        max_tokens=asked.get("max_tokens"),
        request_id=called.request_id,
        cache=called.cache,
        metadata=called.metadata,
        idempotency_key=called.idempotency_key,
        parent=called.parent,
        kind=called.kind,
        policy=policy or called.policy,
        asked=asked,
    )


def _name(asked: dict[str, Any], field: str) -> str:
    """Empty if it was left out."""
    name = asked.get(field)
    if name is not None and (not isinstance(name, str) or not name):
        raise InvalidRequest(f"“{field}” must be a name.", field)
    return name or ""
