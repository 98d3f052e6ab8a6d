"""HTTP as all adapters need it: aiohttp's failures and a provider's refusals become a ProviderError."""

import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson
from yarl import URL

from routing.core.sse import EventTooLarge, SseReader
from routing.providers.base import ADDRESS_REFUSED, MAX_ANSWER_BYTES, NOT_SUPPORTED, UNREACHABLE, ProviderError, Target
from routing.providers.outlet import AddressRefused, Outlet

ERROR_BYTES = 64 * 1024
SECONDS = re.compile(r"\d{1,6}(\.\d{1,6})?", re.ASCII)
CLIENTS_FAULT = {400, 413, 415, 422}
# What llama.cpp's server answers with a 500 though it did not fail: a wrong request, and one beyond its model.
MISREAD = ("Failed to parse messages", "Failed to parse tools")
UNABLE = ("image input is not supported", "audio input is not supported")
LONGEST_RETRY_S = 1e6
QUOTABLE = 8  # characters; what is shorter may be an ordinary word of the message


@asynccontextmanager
async def post(
    outlet: Outlet, target: Target, path: str, payload: Mapping[str, Any], headers: Mapping[str, str]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The response of a POST below the target's base URL if it is 200."""
    url = target.base_url.rstrip("/") + path
    async with send(outlet, target, url, written(payload), headers) as response:
        yield response


@asynccontextmanager
async def send(
    outlet: Outlet, target: Target, url: str, data: bytes, headers: Mapping[str, str]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """No redirect is followed: it could carry the credential elsewhere."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=target.connect_s)  # routing/attempts.py times the rest
    try:
        async with outlet.to(target).post(
            URL(url, encoded=True),  # as it stands: it may be signed
            data=data,
            headers={"Content-Type": "application/json", **target.headers, **headers},
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            if response.status != 200:
                raise await _refusal(response, target)
            yield response
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        if isinstance(getattr(error, "os_error", None), AddressRefused):
            raise ProviderError("Its address is not allowed.", code=ADDRESS_REFUSED) from error
        raise ProviderError("Could not connect.", code=UNREACHABLE) from error
    except TimeoutError as error:
        raise ProviderError("Did not answer in time.", code="timeout") from error
    except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, ValueError) as error:
        raise ProviderError(f"The connection broke ({type(error).__name__}).", code="connection_broken") from error


def written(payload: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(payload)
    except orjson.JSONEncodeError:
        raise refused("The request is nested too deep.") from None


def refused(message: str, param: str | None = None) -> ProviderError:
    """The request itself cannot be sent: the client's mistake, so nobody else is asked and nobody's health suffers."""
    return ProviderError(message, code="provider_refused", retryable=False, status=400, param=param)


async def read_all(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, bounded."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise ProviderError("The answer is over 16 MiB.", code="answer_too_large")
        parts.append(part)
    return b"".join(parts)


def read_object(raw: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ProviderError("The answer is not JSON.", code="garbage") from None
    if not isinstance(document, dict):
        raise ProviderError("The answer is not a JSON object.", code="garbage")
    return document


def feed(reader: SseReader, data: bytes) -> list[bytes]:
    """The events that are whole now."""
    try:
        return reader.feed(data)
    except EventTooLarge:
        raise ProviderError("One event of the stream is over 1 MiB.", code="event_too_large") from None


async def _refusal(response: aiohttp.ClientResponse, target: Target) -> ProviderError:
    status = response.status
    message, param = _message(await response.content.read(ERROR_BYTES))
    if status == 500 and message.startswith(UNABLE):
        return ProviderError(f"The model takes no {message.split()[0]}.", code=NOT_SUPPORTED, status=400)
    if status == 500 and message.startswith(MISREAD):
        status = 400
    if status in CLIENTS_FAULT:
        for secret in target.credential.split(":"):
            message = message.replace(secret, "…") if len(secret) >= QUOTABLE else message
        return ProviderError(
            message or "The provider refused the request.",
            code="provider_refused",
            retryable=False,
            status=status,
            param=param,
        )
    return ProviderError(
        f"Answered {status}.",
        code=f"http_{status}",
        status=status,
        retry_after_s=_seconds(response.headers.get("Retry-After")),
    )


def _message(body: bytes) -> tuple[str, str | None]:
    """Message and param of an OpenAI-shaped or similar error body."""
    try:
        error = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", None
    error = error.get("error", error) if isinstance(error, dict) else None
    if isinstance(error, str):
        return error[:500], None
    if not isinstance(error, dict):
        return "", None
    message, param = error.get("message"), error.get("param")
    return (message[:500] if isinstance(message, str) else ""), (param if isinstance(param, str) else None)


def _seconds(header: str | None) -> float | None:
    """Retry-After: seconds (some say fractions) or an HTTP date (RFC 9110, 10.2.3); None for anything else."""
    if not header:
        return None
    if SECONDS.fullmatch(header):
        return float(header)
    try:
        seconds = parsedate_to_datetime(header).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds) if seconds < LONGEST_RETRY_S else None
