"""From a request to its plan: the route and policy of the snapshot, the features, the clock."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from routing.core.features import Features, estimate_input
from routing.core.plan import Clock, make_plan
from routing.exchange import Exchange
from routing.runtime import Runtime


def plan_request(runtime: Runtime, exchange: Exchange) -> None:
    """Raises ModelNotFound or InvalidRequest."""
    started = runtime.clock()
    snapshot, request, caller = runtime.snapshot, exchange.request, exchange.caller
    entry, policy = snapshot.route(caller, request.model)
    features = Features(
        model=request.model,
        key=caller.key_name,
        input_tokens=estimate_input(request.body),
        output_tokens=request.max_tokens,
        metadata=request.metadata,
    )
    now = runtime.now()
    clock = Clock(now, minutes_of_day(int(now // 60), snapshot.zones))
    plan = make_plan(policy, features, request.body, entry.candidates_for(caller), runtime.health.current(), clock)
    exchange.planned(plan, started, runtime.clock())


@lru_cache(maxsize=4)
def minutes_of_day(minute: int, zones: tuple[str, ...]) -> dict[str, int]:
    """The minute of the day in each zone, ``minute`` minutes after the epoch."""
    moment = datetime.fromtimestamp(minute * 60, UTC)
    local = {zone: moment.astimezone(ZoneInfo(zone)) for zone in zones}
    return {zone: at.hour * 60 + at.minute for zone, at in local.items()}
