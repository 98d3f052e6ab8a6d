"""OpenAI's embeddings: what a client may ask, and a provider's answer in the encoding that the client wants.

A vector travels as a list of numbers, or as base64 of its little-endian 32-bit floats (what OpenAI's client asks for).
"""

import struct
from array import array
from base64 import b64decode, b64encode
from typing import Any

from routing.core.features import estimate_tokens
from routing.core.request import (
    Called,
    ChatRequest,
    InvalidRequest,
    Json,
    check_integer,
    one_line,
    read_body,
    refuse_nul,
)

MOST_INPUTS = 2048  # OpenAI's
MOST_TOKENS = 300_000  # of a request; OpenAI's, too
MOST_DIMENSIONS = 65_536
LARGEST_TOKEN = 2**31 - 1
ENCODINGS = ("float", "base64")


class NotEmbeddings(ValueError):
    """A provider's answer that is none."""


def parse_embeddings(raw: bytes, called: Called) -> ChatRequest:
    """Raises InvalidRequest that names the field."""
    body = read_body(raw)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequest("“model” must name a model, for example one of GET /v1/models.", "model")
    _check_input(body.get("input"))
    if body.get("encoding_format") not in (None, *ENCODINGS):
        raise InvalidRequest("“encoding_format” must be float or base64.", "encoding_format")
    check_integer(body, "dimensions", 1, MOST_DIMENSIONS)
    if not isinstance(body.get("user", ""), str | None):
        raise InvalidRequest("“user” must be text.", "user")
    refuse_nul(raw, body)
    return ChatRequest(
        body=body,
        model=model,
        stream=False,
        include_usage=False,
        max_tokens=0,
        request_id=called.request_id,
        cache=called.cache,
        metadata=called.metadata,
        idempotency_key=called.idempotency_key,
        parent=called.parent,
        kind=called.kind,
    )


def _check_input(given: Any) -> None:
    if isinstance(given, str) and given:
        return
    if not isinstance(given, list) or not given:
        raise InvalidRequest(
            "“input” must be text, a list of texts, or lists of token numbers, and not empty.", "input"
        )
    if sum(len(item) if isinstance(item, list) else isinstance(item, int) for item in given) > MOST_TOKENS:
        raise InvalidRequest(f"“input” takes up to {MOST_TOKENS:,} token numbers.", "input")
    if isinstance(given[0], int):
        _check_tokens(given, "input")
        return
    if len(given) > MOST_INPUTS:
        raise InvalidRequest(f"“input” takes up to {MOST_INPUTS:,} texts; these are {len(given):,}.", "input")
    texts = isinstance(given[0], str)
    for index, item in enumerate(given):
        if not texts:
            _check_tokens(item, f"input[{index}]")
        elif not isinstance(item, str) or not item:
            raise InvalidRequest("Each text must be text, and not empty.", f"input[{index}]")


def _check_tokens(tokens: Any, at: str) -> None:
    if not isinstance(tokens, list) or not tokens:
        raise InvalidRequest("A list of token numbers is wanted here, and not an empty one.", at)
    for token in tokens:
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token <= LARGEST_TOKEN:
            raise InvalidRequest(f"Token numbers are whole, from 0 to {LARGEST_TOKEN:,}.", at)


def inputs_of(body: Json) -> list[str | list[int]]:
    """What is to be embedded, one item a vector; ``body`` was parsed before."""
    given = body["input"]
    single = isinstance(given, str) or isinstance(given[0], int)
    return [given] if single else list(given)


def estimate_inputs(body: Json) -> int:
    """Tokens; those of texts by their lengths."""
    return sum(estimate_tokens(item) if isinstance(item, str) else len(item) for item in inputs_of(body))


def input_line(body: Json) -> str:
    """The start of the first text, for lists."""
    given = body.get("input")
    first = given[0] if isinstance(given, list) and given else given
    return one_line(first) if isinstance(first, str) else ""


def encoded(answer: Any, *, inputs: int, wanted: str | None) -> dict[str, Any]:
    """The answer with ``inputs`` vectors in their order, each as ``wanted``. Raises NotEmbeddings."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise NotEmbeddings("The answer is not a list of embeddings.")
    by_index = {item.get("index"): item.get("embedding") for item in data}
    if len(data) != inputs or by_index.keys() != set(range(inputs)):
        raise NotEmbeddings(f"The answer does not hold the {inputs} embeddings that were asked for.")
    convert = _as_base64 if wanted == "base64" else _as_floats
    vectors = [
        {"object": "embedding", "index": index, "embedding": convert(by_index[index])} for index in range(inputs)
    ]
    return {**answer, "object": "list", "data": vectors}


def _as_base64(vector: Any) -> str:
    if isinstance(vector, str):
        _floats_in(vector)  # what a client could not read is refused here, where another provider may be asked
        return vector
    try:
        return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except (TypeError, struct.error, OverflowError):
        raise NotEmbeddings("An embedding is not a list of numbers.") from None


def _as_floats(vector: Any) -> list[float]:
    if isinstance(vector, str):
        return list(_floats_in(vector))
    try:
        array("d", vector)
    except (TypeError, OverflowError):
        raise NotEmbeddings("An embedding is not a list of numbers.") from None
    return list(vector)


def _floats_in(text: str) -> tuple[float, ...]:
    try:
        raw = b64decode(text, validate=True)
        return struct.unpack(f"<{len(raw) // 4}f", raw)
    except (ValueError, struct.error):  # of which binascii.Error is one
        raise NotEmbeddings("An embedding is not base64 of 32-bit floats.") from None


def summary(answer: Json) -> dict[str, Any]:
    """What a trace keeps: counts and usage. The vectors would fill the trace table."""
    data = answer["data"]
    vector = data[0]["embedding"]
    width = len(b64decode(vector)) // 4 if isinstance(vector, str) else len(vector)
    return {
        "object": "list",
        "model": answer.get("model"),
        "vectors": len(data),
        "dimensions": width,
        "usage": answer.get("usage"),
    }
