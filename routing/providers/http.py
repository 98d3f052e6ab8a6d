"""HTTP as all adapters need it: aiohttp's failures and a provider's refusals become a ProviderError."""

import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from routing.providers.base import MAX_ANSWER_BYTES, UNREACHABLE, ProviderError, Target

ERROR_BYTES = 64 * 1024
SECONDS = re.compile(r"\d{1,6}(\.\d{1,6})?", re.ASCII)
CLIENTS_FAULT = {400, 413, 415, 422}


@asynccontextmanager
async def post(
    session: aiohttp.ClientSession, target: Target, path: str, payload: Mapping[str, Any], headers: Mapping[str, str]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The response of a POST if it is 200. No redirect is followed: it could carry the credential elsewhere."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=target.connect_s)  # routing/attempts.py times the rest
    data = _written(payload)
    try:
        async with session.post(
            target.base_url.rstrip("/") + path,
            data=data,
            headers={"Content-Type": "application/json", **headers},
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            if response.status != 200:
                raise await _refusal(response)
            yield response
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise ProviderError("Could not connect.", code=UNREACHABLE) from error
    except TimeoutError as error:
        raise ProviderError("Did not answer in time.", code="timeout") from error
    except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, ValueError) as error:
        raise ProviderError(f"The connection broke ({type(error).__name__}).", code="connection_broken") from error


def _written(payload: Mapping[str, Any]) -> bytes:
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


async def _refusal(response: aiohttp.ClientResponse) -> ProviderError:
    status = response.status
    message, param = _message(await response.content.read(ERROR_BYTES))
    if status in CLIENTS_FAULT:
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
    """Retry-After: seconds (some say fractions) or a date."""
    if not header:
        return None
    if SECONDS.fullmatch(header):
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
