"""Idempotency-Key: of all requests that bear the same one, one is asked and charged; the others get its answer."""

import asyncio
import contextlib

from caching.claims import LEASE_S, Claim, claim_of
from caching.exact import Stored
from routing import seen
from routing.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from routing.exchange import Exchange
from routing.runtime import Runtime
from tenants.redis import RedisAway, replied

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.5
PATIENCE_S = 120.0


async def earlier_answer(runtime: Runtime, exchange: Exchange) -> Stored | None:
    """The answer of an earlier request with this key, waited for if it is still being made; None: this is the first.

    Raises IdempotencyKeyReused, IdempotencyKeyInUse, and RedisAway: without Redis nothing can be promised.
    """
    if not exchange.request.idempotency_key:
        return None
    claim = _claim(exchange)
    started, pause = runtime.clock(), FIRST_PAUSE_S
    while (found := replied((await runtime.redis.run([claim.take()]))[0])) is not None:
        same, stored = claim.read(found)
        if not same:
            raise IdempotencyKeyReused
        if stored is not None:
            seen.cached(exchange, "replay", stored, started=started, clock=runtime.clock(), now=runtime.now())
            return stored
        if runtime.clock() - started > PATIENCE_S:
            raise IdempotencyKeyInUse
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE_S, pause * 1.5)
    exchange.claim, exchange.renewal = claim, runtime.background(_renew(runtime, claim))
    return None


def _claim(exchange: Exchange) -> Claim:
    caller, request = exchange.caller, exchange.request
    return claim_of(
        tenant=caller.tenant,
        api_key=caller.key_id,
        name=request.idempotency_key,
        holder=exchange.draft.id,
        endpoint=f"{request.kind} {request.path}",
        body=request.asked or request.body,
    )


async def _renew(runtime: Runtime, claim: Claim) -> None:
    """Until the request has ended, which cancels this."""
    while True:
        await asyncio.sleep(LEASE_S / 3)
        with contextlib.suppress(RedisAway):
            await runtime.redis.run([claim.renew()])
