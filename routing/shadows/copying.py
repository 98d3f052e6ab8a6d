"""One copy of a request to a shadow's candidate. It begins when the client has its last byte, or its error, so nothing
of the client's answer, latency or limits depends on it; and nothing that it sees changes how clients are routed."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import orjson

from caching.embedders import embedder
from routing import answers
from routing.attempts import GARBAGE, as_provider_error, checked
from routing.core.candidate import Candidate
from routing.core.plan import ExecutionPlan, Surroundings, make_plan
from routing.core.request import InvalidRequest
from routing.core.shadow import Side, base_of, is_comparable
from routing.core.split import draw_of
from routing.core.usage import Asked, choices_of, most, spend_of
from routing.exchange import Exchange
from routing.hedging import Groups
from routing.planning import minutes_of_day
from routing.providers.base import ProviderError
from routing.runtime import Runtime
from routing.shadows.arm import SERVES, ShadowArm
from routing.shadows.budget import MOST_S
from routing.shadows.copies import LONGEST, Pair, settle
from scheduling.client import Ask, QueueFull

COPIES = "(copies)"  # whose they are in the lanes' fair order; no tenant can have this name


@dataclass(frozen=True, slots=True)
class Asking:
    """Whom to ask, by which plan, and the most that it may cost."""

    candidate: Candidate
    plan: ExecutionPlan
    hold: int


@dataclass(frozen=True, slots=True)
class Called:
    side: Side
    answer: str = ""
    error: str = ""


def offer(runtime: Runtime, exchange: Exchange) -> None:
    """Begins a copy if the route has a shadow, its draw falls on this request, and there is something to compare with.

    Not of requests that name their policy: they measure something themselves.
    """
    arm = exchange.shadow
    if arm is None or exchange.request.policy or exchange.kind.serves != SERVES:
        return
    if is_comparable(exchange.draft) and arm.wants(exchange.caller.tenant_id, exchange.draft.id, runtime.now()):
        runtime.copies.begin(arm, partial(_copy, runtime, exchange, arm))


async def _copy(runtime: Runtime, exchange: Exchange, arm: ShadowArm) -> None:
    copies, trace = runtime.copies, exchange.draft.id
    asking = _asking(runtime, exchange, arm)
    if asking is None:
        copies.drop(arm, "nobody")
        return
    budget = copies.budget(arm)
    permit = await budget.take(trace, asking.hold, budget=arm.budget_microusd, concurrent=arm.concurrent)
    if permit != "go":
        copies.drop(arm, permit)
        return
    try:
        async with runtime.lanes.admission(_ask(asking)) as grant:
            called = await _call(runtime, exchange, asking, grant.max_tokens or asking.plan.max_tokens)
    except QueueFull:
        await settle(budget, trace, asking.hold, 0)
        copies.drop(arm, "no_slot")
        return
    await copies.keep(arm, await _pair(runtime, exchange, arm, asking.candidate, called))
    await settle(budget, trace, asking.hold, called.side.cost)  # last: a day that begins anew is read from the rows


def _asking(runtime: Runtime, exchange: Exchange, arm: ShadowArm) -> Asking | None:
    """None if nobody can be asked now: a breaker is open, or the policy's candidates all have limits."""
    plan = exchange.the_plan
    attempts: tuple[Candidate, ...] = () if arm.deployment is None else (arm.deployment,)
    if arm.policy is not None:
        now, zones = runtime.now(), runtime.snapshot.zones
        draw = draw_of(exchange.draft.id)
        around = Surroundings(now, minutes_of_day(int(now // 60), zones), runtime.environment, draw)
        features, body = replace(plan.features, trial=None), exchange.request.body
        try:
            plan = make_plan(arm.policy, features, body, arm.candidates, runtime.health.current(), around)
        except InvalidRequest:
            return None
        attempts = tuple(one for one in plan.attempts if not one.limits)
    free = (one for one in attempts if not runtime.health.why_not(one.circuit, runtime.now(), alone=False))
    candidate = next(free, None)
    if candidate is None:
        return None
    tokens_out = plan.max_tokens * choices_of(exchange.request.body)
    return Asking(candidate, plan, most(candidate, plan.features.input_tokens, tokens_out).cost)


def _ask(asking: Asking) -> Ask:
    """A slot only if one is free: copies never wait, so no client waits behind one that waits."""
    candidate, plan = asking.candidate, asking.plan
    return Ask(
        pool=candidate.deployment,
        capacity=candidate.capacity,
        lane=plan.lane,
        tenant=COPIES,
        cost_tokens=plan.features.input_tokens + plan.max_tokens,
        max_tokens=plan.max_tokens,
        timeout_s=0.0,
    )


async def _call(runtime: Runtime, exchange: Exchange, asking: Asking, max_tokens: int) -> Called:
    request, kind, candidate = exchange.request, exchange.kind, asking.candidate
    target = runtime.snapshot.target(exchange.caller, candidate.deployment)
    target = replace(target, headers={"X-Request-ID": f"{request.request_id}-shadow"})
    payload = kind.payload(request, asking.plan, target.model, max_tokens)
    documents = cast(Groups, kind.documents(runtime.adapters[target.kind], target, payload, stream=request.stream))
    asked = Asked(asking.plan.features.input_tokens, max_tokens * choices_of(request.body))
    started, first, events = runtime.clock(), None, list[bytes]()
    try:
        async with asyncio.timeout(MOST_S), aclosing(documents):
            async for group in checked(documents, target, kind, stream=request.stream):
                first = first or runtime.clock()
                events += group
        answer = answers.assemble(events) if request.stream else kind.read(events[0])
    except (ProviderError, TimeoutError, *GARBAGE) as cause:
        error = as_provider_error(cause)
        tokens = answers.reported(error.seen or events, asked)
        return Called(Side(True, cost=spend_of(candidate, *tokens).cost), error=error.code)
    usage = kind.usage(answer, asked)
    latency, ttft = (runtime.clock() - started) * 1000, ((first or started) - started) * 1000
    cost = spend_of(candidate, usage.tokens_in, usage.tokens_out).cost
    said = said_in(answer)
    side = Side(False, latency, ttft if request.stream else None, usage.tokens_out, cost, len(said))
    return Called(side, said)


async def _pair(runtime: Runtime, exchange: Exchange, arm: ShadowArm, candidate: Candidate, called: Called) -> Pair:
    draft, caller = exchange.draft, exchange.caller
    said = said_in(draft.response_json) if draft.outcome != "failed" else ""
    similarity = await _similarity(said, called.answer) if arm.similarity else None
    about: dict[str, Any] = {
        "at": datetime.fromtimestamp(runtime.now(), UTC),
        "trace_id": draft.id,
        "stream": draft.stream,
        "base_deployment": draft.deployment[:64],
        "candidate_deployment": candidate.deployment[:64],
        "error_code": called.error[:64],
        "answer": called.answer[:LONGEST].replace("\x00", "") if caller.keep_content else "",
    }
    return Pair(caller.schema, base_of(draft, len(said)), called.side, similarity, about)


async def _similarity(one: str, other: str) -> float | None:
    """None if one of them is empty or too long to compare, or too many texts wait."""
    if not one or not other:
        return None
    vectors = [await embedder().embed_text(text) for text in (one, other)]
    first, second = vectors
    return None if first is None or second is None else float(first @ second)


def said_in(answer: Any) -> str:
    """What a whole answer says: the text of its choices, and tools that it calls as JSON."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    parts = []
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict):
            content, calls = message.get("content"), message.get("tool_calls")
            parts += [content] if isinstance(content, str) else []
            parts += [orjson.dumps(calls).decode()] if calls else []
    return "\n".join(parts)
