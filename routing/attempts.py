"""The candidates of a plan asked in order: each behind its lane, the next one only before the first content."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import cast

from routing import answers
from routing.core.breaker import Failure
from routing.core.plan import Candidate
from routing.errors import ProvidersFailed
from routing.exchange import Exchange
from routing.hedging import Groups, Race
from routing.kinds import Chat
from routing.line import Line, PassedOver
from routing.providers.base import NOT_REACHED, NOT_SUPPORTED, UNREACHABLE, ProviderError, Target
from routing.runtime import Runtime
from scheduling.client import Ask, QueueFull

log = logging.getLogger("relay.attempts")
TOO_MANY_REQUESTS = 429
MAX_HELD_BYTES = 2 * 1024 * 1024
END: list[bytes] = []  # no adapter yields an empty group
GARBAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError)


async def ask_in_order(runtime: Runtime, exchange: Exchange) -> Groups:
    """Groups of JSON documents from the first candidate that gives content. Raises ProviderError (its stream broke, or
    it refused the request itself), QueueFull, ProvidersExhausted, ProvidersResting, RedisAway or ProvidersFailed."""
    full: QueueFull | None = None
    last: ProviderError | None = None
    reached = False
    line = Line(runtime, exchange)
    while (candidate := await line.next()) is not None:
        if reached and not line.may_retry():
            break
        try:
            async with aclosing(_asked(runtime, exchange, line, candidate)) as groups:
                async for events in groups:
                    yield events
            return
        except PassedOver:
            continue
        except QueueFull as error:
            full = error
        except ProviderError as error:
            if exchange.events or not error.retryable:
                raise
            last, reached = error, reached or error.code not in NOT_REACHED
    if last is None and full is None and exchange.the_plan.attempts:
        raise line.nobody()
    raise full or ProvidersFailed(last, exchange.tries)


def _asked(runtime: Runtime, exchange: Exchange, line: Line, candidate: Candidate) -> Groups:
    hedge_s = runtime.snapshot.target(exchange.caller, candidate.deployment).hedge_s
    if hedge_s is None or len(exchange.the_plan.attempts) == 1:
        return _attempt(runtime, exchange, line, candidate)
    return _hedged(runtime, exchange, line, candidate)


async def _hedged(runtime: Runtime, exchange: Exchange, line: Line, candidate: Candidate) -> Groups:
    """The candidate, and the next one as well if there is no content in time. The rival does not wait for a slot."""
    after_s = runtime.snapshot.target(exchange.caller, candidate.deployment).hedge_s
    assert after_s is not None
    exchange.under_way = {}
    async with Race[Candidate]() as race:
        race.enter(candidate, _attempt(runtime, exchange, line, candidate))
        if not await race.over(after_s) and line.may_hedge(candidate, after_s):
            rival = await line.rival()
            if rival is not None:
                exchange.hedged(candidate, rival)
                race.enter(rival, _attempt(runtime, exchange, line, rival))
        winner, groups, events = await race.winner()
        exchange.chosen(winner)
    async with aclosing(groups):
        yield events
        async for events in groups:
            yield events


async def _attempt(runtime: Runtime, exchange: Exchange, line: Line, candidate: Candidate) -> Groups:
    """One call behind its lane, entered into the trace and the evidence however it ends."""
    async with _slot(runtime, exchange, line, candidate):
        name, target = candidate.circuit, runtime.snapshot.target(exchange.caller, candidate.deployment)
        target = replace(target, headers=exchange.told(candidate.deployment))
        kind, stream = exchange.kind, exchange.request.stream
        payload = kind.payload(exchange.request, exchange.the_plan, target.model, exchange.max_tokens)
        documents = cast(Groups, kind.documents(runtime.adapters[target.kind], target, payload, stream=stream))
        started = runtime.clock()
        exchange.attempting(candidate, started)
        begun = False
        try:
            async with aclosing(documents):
                async for events in checked(documents, target, kind, stream=stream):
                    if not begun:
                        runtime.health.began(name, runtime.now())
                        begun = True
                    yield events
        except (asyncio.CancelledError, GeneratorExit):
            exchange.attempted(candidate, started, runtime.clock(), cancelled=True)
            raise
        except (ProviderError, TimeoutError, *GARBAGE) as cause:
            error = as_provider_error(cause)
            exchange.attempted(candidate, started, runtime.clock(), error=error)
            log.warning(
                "attempt failed", extra={**exchange.named, "deployment": candidate.deployment, "code": error.code}
            )
            _note_failure(runtime, name, error)
            raise error from cause
        ended = runtime.clock()
        exchange.attempted(candidate, started, ended)
        runtime.health.answered(name, (ended - started) * 1000, runtime.now())


@asynccontextmanager
async def _slot(runtime: Runtime, exchange: Exchange, line: Line, candidate: Candidate) -> AsyncIterator[None]:
    """A place at the deployment. Raises QueueFull, and PassedOver if by now it may not be asked."""
    arrived = runtime.clock()
    try:
        async with runtime.lanes.admission(_ask(runtime, exchange, candidate)) as grant:
            exchange.admitted(candidate, grant, arrived)
            line.go(candidate, waited=grant.queue_wait_ms > 0)
            yield
    except QueueFull as error:
        exchange.turned_away(candidate, error, arrived, runtime.clock())
        raise


def _note_failure(runtime: Runtime, deployment: str, error: ProviderError) -> None:
    """A request that is wrong, or beyond the model, says nothing of the deployment's health; nor is 429 a failure."""
    if error.status == TOO_MANY_REQUESTS:
        runtime.health.limited(deployment, error.retry_after_s, runtime.now())
    elif error.retryable and error.code != NOT_SUPPORTED:
        failure = Failure(error.code, error.code == UNREACHABLE, error.retry_after_s)
        runtime.health.failed(deployment, failure, runtime.now())


async def checked(documents: Groups, target: Target, kind: Chat, *, stream: bool) -> Groups:
    """What comes before the first content is held back, so that a failure there can still go elsewhere."""
    if not stream:
        async with asyncio.timeout(target.total_s):
            events = await anext(documents)
        with _seen(events):
            kind.read(events[0])
        yield events
        return
    held: list[bytes] = []
    size, content = 0, False
    async with asyncio.timeout(target.ttft_s):
        while not content:
            events = await anext(documents, END)
            with _seen(held):
                if events is END:
                    raise ProviderError("The stream ended without content.", code="garbage")
                held += events
                size += sum(map(len, events))
                content = any(answers.has_content(answers.read_chunk(event)) for event in events)
                if size > MAX_HELD_BYTES and not content:
                    raise ProviderError("Its stream is all preface and no content.", code="garbage")
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


def _ask(runtime: Runtime, exchange: Exchange, candidate: Candidate) -> Ask:
    plan, is_rival = exchange.the_plan, candidate.deployment == exchange.rival
    return Ask(
        pool=candidate.deployment,
        capacity=candidate.capacity,
        lane=plan.lane,
        tenant=exchange.caller.tenant,
        cost_tokens=plan.features.input_tokens + plan.max_tokens,
        max_tokens=plan.max_tokens,
        timeout_s=0.0 if is_rival else runtime.queue_timeout_s,
    )


def as_provider_error(cause: BaseException) -> ProviderError:
    if isinstance(cause, ProviderError):
        return cause
    if isinstance(cause, TimeoutError):
        return ProviderError("Did not answer in time.", code="timeout")
    return ProviderError("The answer has an unexpected shape.", code="garbage")
