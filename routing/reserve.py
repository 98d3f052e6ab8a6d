"""The limits of deployments: a part of them is held before one is asked, and the planner is told what is left."""

from routing.core.plan import Candidate
from routing.core.usage import choices_of, most
from routing.errors import ProvidersExhausted
from routing.exchange import Exchange
from routing.keeping import tell
from routing.runtime import Runtime
from tenants.core.spend import Left, Spend
from tenants.holds import Parts, parts_of
from tenants.redis import RedisAway


async def reserve(runtime: Runtime, exchange: Exchange, candidate: Candidate) -> bool:
    """Whether the candidate may be asked: it has no limits, or a part of each is held now. False: the trace says why.

    The first candidate's part is held with the caller's (routing/lookup.py); only a later one costs a trip of its own.
    """
    name = candidate.deployment
    if not candidate.limits or name in exchange.reserved:
        return True
    if name not in exchange.exhausted and not exchange.uncounted:
        await _hold(runtime, exchange, candidate)
    if name in exchange.reserved:
        return True
    spent = exchange.exhausted.get(name)
    why = "What is left of its limits is not known now."
    if spent is not None:
        why = f"Too little is left of its {spent.limit.limit:,} {spent.limit.words}."
    exchange.passed_over(candidate, why)
    return False


def parts(exchange: Exchange, candidate: Candidate) -> Parts:
    """What an attempt would hold of the candidate's limits."""
    plan = exchange.the_plan
    tokens_out = plan.max_tokens * choices_of(exchange.request.body)
    spend = Spend(requests=1) + most(candidate, plan.features.input_tokens, tokens_out)
    return parts_of(candidate.limits, spend, exchange.account.at)


def told(runtime: Runtime, exchange: Exchange, left: tuple[Left, ...], *, taken: bool) -> None:
    """What the ledger said of a candidate's limits."""
    tightest = tell(runtime.health, left, runtime.now())
    if taken:
        exchange.reserved.add(tightest.limit.deployment)
    else:
        exchange.exhausted[tightest.limit.deployment] = tightest


def exhausted(exchange: Exchange) -> Exception | None:
    """Why nobody was asked, if that is for want of quota."""
    if exchange.uncounted:
        return RedisAway("limits of deployments are not known")
    if exchange.exhausted:
        return ProvidersExhausted(min(exchange.exhausted.values(), key=lambda left: left.resets_in_s))
    return None


async def _hold(runtime: Runtime, exchange: Exchange, candidate: Candidate) -> None:
    hold = exchange.account.asking((), (parts(exchange, candidate),))
    try:
        taken, _ = await runtime.ledger.hold(exchange.account, hold, runtime.now())
    except RedisAway:
        exchange.uncounted = True
        return
    told(runtime, exchange, taken.groups[0], taken=taken.chosen == 0)
