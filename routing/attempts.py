"""The candidates of a plan asked in order: each behind its lane, the next one only before the first content."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, cast

from routing import answers
from routing.core.plan import Candidate, ExecutionPlan
from routing.core.request import ChatRequest
from routing.errors import ProvidersFailed
from routing.exchange import Exchange
from routing.providers.base import ProviderError, Target
from routing.reserve import exhausted, reserve
from routing.runtime import Runtime
from scheduling.client import Ask, QueueFull

Groups = AsyncGenerator[list[bytes], None]
log = logging.getLogger("relay.attempts")
END: list[bytes] = []  # no adapter yields an empty group
GARBAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError)


async def ask_in_order(runtime: Runtime, exchange: Exchange) -> Groups:
    """Groups of JSON documents from the first candidate that gives content. Raises ProviderError (its stream broke, or
    it refused the request itself), QueueFull, ProvidersExhausted, RedisAway or ProvidersFailed."""
    full: QueueFull | None = None
    last: ProviderError | None = None
    for candidate in exchange.the_plan.attempts:
        if not await reserve(runtime, exchange, candidate):
            continue
        arrived = runtime.clock()
        try:
            async with runtime.lanes.admission(_ask(runtime, exchange, candidate)) as grant:
                exchange.admitted(candidate, grant, arrived)
                async with aclosing(_attempt(runtime, exchange, candidate)) as groups:
                    async for events in groups:
                        yield events
            return
        except QueueFull as error:
            exchange.turned_away(candidate, error, arrived, runtime.clock())
            full = error
        except ProviderError as error:
            if exchange.events or not error.retryable:
                raise
            last = error
    raise full or (exhausted(exchange) if last is None else None) or ProvidersFailed(last, exchange.tries)


async def _attempt(runtime: Runtime, exchange: Exchange, candidate: Candidate) -> Groups:
    """One call, entered into the trace and the health board however it ends."""
    target = runtime.snapshot.targets[candidate.deployment]
    payload = payload_for(exchange.request, exchange.the_plan, target.model, exchange.max_tokens)
    documents = cast(Groups, runtime.adapters[target.kind].chat(target, payload, stream=exchange.request.stream))
    started = runtime.clock()
    exchange.attempting(candidate, started)
    try:
        async with aclosing(documents):
            async for events in _checked(documents, target, stream=exchange.request.stream):
                yield events
    except (asyncio.CancelledError, GeneratorExit):
        exchange.attempted(candidate, started, runtime.clock(), cancelled=True)
        raise
    except (ProviderError, TimeoutError, *GARBAGE) as cause:
        error = _as_provider_error(cause)
        exchange.attempted(candidate, started, runtime.clock(), error=error)
        log.warning("attempt failed", extra={**exchange.named, "deployment": candidate.deployment, "code": error.code})
        if error.retryable:
            runtime.health.failed(
                candidate.deployment, str(error), now=runtime.now(), retry_after_s=error.retry_after_s
            )
        raise error from cause
    exchange.attempted(candidate, started, runtime.clock())
    runtime.health.answered(candidate.deployment)


async def _checked(documents: Groups, target: Target, *, stream: bool) -> Groups:
    """What comes before the first content is held back, so that a failure there can still go elsewhere."""
    if not stream:
        async with asyncio.timeout(target.total_s):
            events = await anext(documents)
        with _seen(events):
            answers.read_completion(events[0])
        yield events
        return
    held: list[bytes] = []
    content = False
    async with asyncio.timeout(target.ttft_s):
        while not content:
            events = await anext(documents, END)
            with _seen(held):
                if events is END:
                    raise ProviderError("The stream ended without content.", code="garbage")
                held += events
                content = any(answers.has_content(answers.read_chunk(event)) for event in events)
    yield held
    while True:
        async with asyncio.timeout(target.idle_s):
            events = await anext(documents, END)
        if events is END:
            return
        for event in events:
            answers.glance(event)
        yield events


@contextmanager
def _seen(documents: list[bytes]) -> Iterator[None]:
    """A failure takes along what had come: the provider may have charged for it."""
    try:
        yield
    except ProviderError as error:
        error.seen = documents
        raise


def payload_for(request: ChatRequest, plan: ExecutionPlan, model: str, max_tokens: int) -> dict[str, Any]:
    """The client's body with the deployment's model and what the plan adds; everything else as it came."""
    limit = "max_completion_tokens" if request.body.get("max_completion_tokens") is not None else "max_tokens"
    return {**request.body, **plan.params, "model": model, limit: max_tokens}


def _ask(runtime: Runtime, exchange: Exchange, candidate: Candidate) -> Ask:
    plan = exchange.the_plan
    return Ask(
        pool=candidate.deployment,
        capacity=candidate.capacity,
        lane=plan.lane,
        tenant=exchange.caller.tenant,
        cost_tokens=plan.features.input_tokens + plan.max_tokens,
        max_tokens=plan.max_tokens,
        timeout_s=runtime.queue_timeout_s,
    )


def _as_provider_error(cause: BaseException) -> ProviderError:
    if isinstance(cause, ProviderError):
        return cause
    if isinstance(cause, TimeoutError):
        return ProviderError("Did not answer in time.", code="timeout")
    return ProviderError("The answer has an unexpected shape.", code="garbage")
