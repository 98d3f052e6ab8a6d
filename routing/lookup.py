"""Seen before? The budget's hold and the exact cache in one round trip, then the semantic cache if the plan allows."""

from collections.abc import Sequence
from typing import Any

import orjson

from caching.core.keys import exact_key, semantic_scope, semantic_text
from caching.embedders import embedder
from caching.exact import Stored, get_command, parse
from caching.semantic import Lookup
from routing import seen
from routing.answers import usage_of
from routing.core.plan import Candidate, cost_microusd
from routing.core.usage import Asked, choices_of, most
from routing.exchange import Exchange, SemanticQuestion
from routing.reserve import parts, told
from routing.runtime import Runtime
from tenants.core.spend import Spend
from tenants.holds import Parts, QuotaSpent, Taken, parts_of
from tenants.redis import Command, RedisAway, replied


async def look_up(runtime: Runtime, exchange: Exchange) -> Stored | None:
    """An answer that may be reused; None means: ask a provider. Raises QuotaSpent, RedisAway."""
    stored = await _hold_and_look_up_exact(runtime, exchange)
    if stored is None:
        stored = await _look_up_semantic(runtime, exchange)
    return stored


async def _hold_and_look_up_exact(runtime: Runtime, exchange: Exchange) -> Stored | None:
    plan, caller, request = exchange.the_plan, exchange.caller, exchange.request
    started, now = runtime.clock(), runtime.now()
    commands: list[Command] = []
    exact = plan.cache.exact
    if exact:
        signature = f"{exchange.kind.serves} {plan.signature}"  # no body may mean both an answer and vectors
        exchange.exact_key = exact_key(
            tenant=caller.tenant, signature=signature, body=request.body, scope=_scope(exchange)
        )
    if exact and request.cache.lookup:
        commands.append(get_command(exchange.exact_key))
    try:
        taken, replies = await _trip(runtime, exchange, commands)
        raw = replied(replies[0]) if commands else None
    except RedisAway:
        if any(limit.hard for limit in caller.quotas):
            raise  # what may still be spent is not known: refuse
        exchange.uncounted = True
        exchange.passed(())
        seen.exact_missed(
            exchange, "off", "The state store is away, so the cache was not asked.", started, runtime.clock()
        )
        return None
    except QuotaSpent as error:
        exchange.left = error.left
        raise
    exchange.passed(taken.left)
    for number, left in enumerate(taken.groups):
        if left and (taken.chosen is None or number <= taken.chosen):
            told(runtime, exchange, left, taken=number == taken.chosen)
    stored = parse(raw, now=now, max_age_s=request.cache.max_age_s)
    if stored is None:
        why = "Nobody asked this before, or its time is over." if commands else _why_off(exact)
        seen.exact_missed(exchange, "miss" if commands else "off", why, started, runtime.clock())
        return None
    seen.cached(exchange, "exact", stored, started=started, clock=runtime.clock(), now=now)
    return stored


def _scope(exchange: Exchange) -> str:
    """Who shares the answer: the key alone, or (empty) the whole tenant."""
    private = exchange.the_plan.cache.scope == "key" or exchange.request.cache.private
    return exchange.caller.key_id if private else ""


async def _trip(runtime: Runtime, exchange: Exchange, commands: list[Command]) -> tuple[Taken, list[Any]]:
    """The hold, if any limit is concerned, with the commands in one trip: what was taken, and their replies."""
    limited = _limited(exchange.the_plan.attempts)
    if not exchange.caller.quotas and not limited:
        return Taken((), None, ()), await runtime.redis.run(commands) if commands else []
    groups = tuple(parts(exchange, candidate) for candidate in limited)
    hold = exchange.account.asking(_callers_parts(exchange), groups)
    return await runtime.ledger.hold(exchange.account, hold, runtime.now(), commands)


def _limited(attempts: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those of whom one is chosen by its limits: up to the first without any; none if that is the first."""
    free = next((number for number, item in enumerate(attempts) if not item.limits), len(attempts))
    return attempts[: free + 1] if free else ()


def _callers_parts(exchange: Exchange) -> Parts:
    """Of the dearest candidate: which one answers is not known yet."""
    plan, quotas = exchange.the_plan, exchange.caller.quotas
    tokens_in, tokens_out = plan.features.input_tokens, plan.max_tokens * choices_of(exchange.request.body)
    if not quotas or not plan.attempts:
        return parts_of(quotas, Spend(requests=1), exchange.account.at)
    most_of_all = max((most(item, tokens_in, tokens_out) for item in plan.attempts), key=lambda spend: spend.cost)
    return parts_of(quotas, Spend(requests=1) + most_of_all, exchange.account.at)


def _why_off(exact: bool) -> str:
    return "The client said no-cache." if exact else "The policy switches the exact cache off."


async def _look_up_semantic(runtime: Runtime, exchange: Exchange) -> Stored | None:
    plan, caller, request = exchange.the_plan, exchange.caller, exchange.request
    text = semantic_text(request.body) if plan.cache.semantic and caller.keep_content else None
    if text is None or not request.cache.lookup:
        if plan.cache.semantic:
            seen.semantic_skipped(exchange, _why_skipped(exchange, text))
        return None
    started = runtime.clock()
    scope = semantic_scope(signature=plan.signature, body=request.body, scope=_scope(exchange))
    vector = await embedder().embed_text(text)
    if vector is None:
        seen.semantic_skipped(
            exchange, "The question is too long to compare by meaning, or too many wait to be compared."
        )
        return None
    exchange.question = SemanticQuestion(scope, text, vector)
    now = runtime.now()
    found = await runtime.semantic.lookup(
        schema=caller.schema, scope=scope, text=text, vector=vector, threshold=plan.cache.threshold, now=now
    )
    seen.semantic_found(exchange, found, started, runtime.clock())
    if found.outcome != "hit" or found.entry is None or _too_old(found, request.cache.max_age_s, now):
        return None
    stored = _stored_from(exchange, found)
    seen.cached(exchange, "semantic", stored, started=started, clock=runtime.clock(), now=now)
    runtime.background(runtime.semantic.touch(schema=caller.schema, entry=found.entry.id, now=now))
    return stored


def _why_skipped(exchange: Exchange, text: str | None) -> str:
    if not exchange.caller.keep_content:
        return "This tenant keeps metadata only, so no question is stored."
    if exchange.kind.serves != "chat":
        return "Vectors are exact: nothing is compared by meaning."
    if text is None:
        return "Only a plain, short last question without tools is compared by meaning."
    return "The client said no-cache."


def _too_old(found: Lookup, max_age_s: int | None, now: float) -> bool:
    return max_age_s is not None and found.entry is not None and now - found.entry.created_at > max_age_s


def _stored_from(exchange: Exchange, found: Lookup) -> Stored:
    """A semantic hit in the form of an exact one. What it saved is what this deployment would cost now."""
    entry = found.entry
    assert entry is not None
    usage = usage_of(orjson.loads(entry.answer), Asked(exchange.the_plan.features.input_tokens))
    by_name = {item.candidate.deployment: item.candidate for item in exchange.the_plan.candidates}
    candidate = by_name.get(entry.deployment)
    return Stored(
        answer=entry.answer,
        trace_id=str(entry.source_trace),
        policy=entry.policy,
        policy_version=entry.policy_version,
        deployment=entry.deployment,
        model=entry.model,
        created_at=entry.created_at,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        cost_microusd=cost_microusd(candidate, usage.tokens_in, usage.tokens_out) if candidate else 0,
    )
