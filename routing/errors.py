"""Every failure that a client can see, and the one table that turns it into OpenAI's error shape."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from routing.core.request import InvalidRequest
from routing.providers.base import NOT_SUPPORTED, ProviderError
from routing.snapshot import ModelNotFound, PathNotFound, PolicyNotFound
from scheduling.client import QueueFull
from tenants.auth import NotAllowed, NotAuthenticated
from tenants.core.spend import Left
from tenants.holds import QuotaSpent
from tenants.ledger import NotCounted
from tenants.redis import RedisAway
from traces.spool import SpoolFull

log = logging.getLogger("relay.api")


class BodyTooLarge(Exception):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class BodyTooSlow(Exception):
    pass


class IdempotencyKeyReused(Exception):
    """The same Idempotency-Key came with another request."""


class IdempotencyKeyInUse(Exception):
    """The first request with this Idempotency-Key is still being answered."""


class ProvidersFailed(Exception):
    """No candidate answered. ``last`` is the last attempt's error; None if there was nobody to ask."""

    def __init__(self, last: ProviderError | None, tried: int) -> None:
        super().__init__(str(last or "nobody to ask"))
        self.last, self.tried = last, tried


class ProvidersResting(Exception):
    """Every candidate is left alone for now: its breaker is open, or its provider limits the rate."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class ProvidersExhausted(Exception):
    """Every candidate's own limits are spent. ``soonest``: the one that starts anew first."""

    def __init__(self, soonest: Left) -> None:
        super().__init__(soonest.limit.deployment)
        self.soonest = soonest


@dataclass(frozen=True, slots=True)
class ErrorReply:
    status: int
    message: str
    type: str
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, object]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    @property
    def raw(self) -> bytes:
        return orjson.dumps(self.body)


LONGEST_RETRY_S = 3600
INVALID, SERVER = "invalid_request_error", "server_error"


def _retry(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, int(seconds)))}


def _quota(error: QuotaSpent) -> ErrorReply:
    limit = error.limit
    whose = "this API key" if limit.api_key else "your tenant"
    said = f"{whose[0].upper()}{whose[1:]} has used {error.used:,} of {limit.limit:,} {limit.metric} a {limit.window}."
    if limit.metric == "cost" or limit.window in ("day", "month"):
        message = f"{said} It starts anew in {error.resets_in_s:,} s; an admin can raise the quota."
        headers = {"x-should-retry": "false", **_retry(error.resets_in_s)}
        return ErrorReply(429, message, "insufficient_quota", "insufficient_quota", headers=headers)
    message = f"{said} Try again in {error.resets_in_s:,} s."
    return ErrorReply(429, message, limit.metric, "rate_limit_exceeded", headers=_retry(error.resets_in_s))


def _queue(error: QueueFull) -> ErrorReply:
    message = f"The {error.lane} lane is full. Try again in {error.retry_after_s} s."
    return ErrorReply(429, message, "requests", "queue_full", headers=_retry(error.retry_after_s))


def _provider(error: ProviderError) -> ErrorReply:
    """The request itself was refused: the client gets the provider's own words. Else its stream broke off."""
    if error.retryable:
        return ErrorReply(502, f"The provider failed after its answer had begun. {error}", SERVER, error.code)
    return ErrorReply(error.status or 400, str(error), INVALID, error.code, error.param)


def _providers(error: ProvidersFailed) -> ErrorReply:
    if error.last is None:
        return ErrorReply(503, "No provider can serve this model now.", SERVER, "no_provider", headers=_retry(5))
    if error.last.code == NOT_SUPPORTED:
        return ErrorReply(400, str(error.last), INVALID, error.last.code)
    message = f"{error.tried} provider{'s' if error.tried > 1 else ''} tried, none answered. Last: {error.last}"
    if error.last.code in ("garbage", "answer_too_large", "event_too_large"):
        return ErrorReply(502, message, SERVER, "bad_provider_answer", headers=_retry(1))
    return ErrorReply(503, message, SERVER, "providers_failed", headers=_retry(error.last.retry_after_s or 2))


def _resting(error: ProvidersResting) -> ErrorReply:
    seconds = error.retry_after_s
    message = f"Every provider of this model failed lately or limits the rate. Try again in {seconds:.0f} s."
    return ErrorReply(503, message, SERVER, "providers_resting", headers=_retry(seconds))


def _exhausted(error: ProvidersExhausted) -> ErrorReply:
    """The platform's shortage, not the client's: no 429, and nothing of the numbers that all tenants share."""
    limit, seconds = error.soonest.limit, error.soonest.resets_in_s
    message = (
        f"No provider of this model has quota left. {limit.deployment}'s {limit.metric} of the {limit.window} start"
        f" anew in {seconds:,} s."
    )
    return ErrorReply(503, message, SERVER, "providers_exhausted", headers=_retry(min(seconds, LONGEST_RETRY_S)))


TABLE: dict[type[Exception], Callable[..., ErrorReply]] = {
    InvalidRequest: lambda e: ErrorReply(400, str(e), INVALID, e.code, e.param),
    NotAuthenticated: lambda e: ErrorReply(401, str(e), INVALID, e.code, headers={"WWW-Authenticate": "Bearer"}),
    NotAllowed: lambda e: ErrorReply(403, str(e), INVALID, e.code, e.param),
    ModelNotFound: lambda e: ErrorReply(
        404,
        f"The model “{e.model[:200]}” does not exist or your key may not use it.",
        INVALID,
        "model_not_found",
        "model",
    ),
    PathNotFound: lambda e: ErrorReply(
        404, f"Nothing is served at /v1/{e.path}/ or your key may not use it.", INVALID, "route_not_found"
    ),
    PolicyNotFound: lambda e: ErrorReply(
        404,
        f"The policy “{e.policy[:200]}” does not exist or your key may not use it.",
        INVALID,
        "policy_not_found",
        "policy",
    ),
    IdempotencyKeyInUse: lambda e: ErrorReply(
        409,
        "The first request with this Idempotency-Key is still being answered. Ask again later.",
        INVALID,
        "idempotency_key_in_use",
        "Idempotency-Key",
        _retry(5),
    ),
    IdempotencyKeyReused: lambda e: ErrorReply(
        422,
        "This Idempotency-Key was sent before with another request. Use a new key for each request.",
        INVALID,
        "idempotency_key_reused",
        "Idempotency-Key",
    ),
    BodyTooSlow: lambda e: ErrorReply(408, "The body did not arrive in time.", INVALID, "request_timeout"),
    BodyTooLarge: lambda e: ErrorReply(413, f"The body is over {e.limit:,} bytes.", INVALID, "body_too_large"),
    QuotaSpent: _quota,
    QueueFull: _queue,
    ProviderError: _provider,
    ProvidersFailed: _providers,
    ProvidersResting: _resting,
    RedisAway: lambda e: ErrorReply(
        503, "Relay's state store is away.", SERVER, "state_unavailable", headers=_retry(1)
    ),
    NotCounted: lambda e: ErrorReply(
        503, "Quotas are being counted anew. Try again soon.", SERVER, "state_unavailable", headers=_retry(2)
    ),
    ProvidersExhausted: _exhausted,
    SpoolFull: lambda e: ErrorReply(503, "Relay cannot store traces now.", SERVER, "spool_full", headers=_retry(5)),
}


def method_not_allowed(allowed: Sequence[str]) -> ErrorReply:
    said = f"Use {', '.join(method for method in allowed if method != 'OPTIONS')}."
    return ErrorReply(405, said, INVALID, "method_not_allowed", headers={"Allow": ", ".join(allowed)})


def describe(error: Exception) -> ErrorReply:
    """What the client receives. Anything that is not in the table is our mistake: logged, and a 500 without details."""
    make = TABLE.get(type(error))
    if make is not None:
        return make(error)
    log.error("unexpected error", exc_info=error)
    return ErrorReply(500, "Relay made a mistake; it was logged.", SERVER, "internal_error")
