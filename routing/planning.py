"""From a request to its plan: the route and policy of the snapshot, the features, the surroundings."""

from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from zoneinfo import ZoneInfo

from routing.core.features import Features, estimate_input
from routing.core.plan import Surroundings, make_plan
from routing.core.tasks import task_of
from routing.exchange import Exchange
from routing.runtime import Runtime


def plan_request(runtime: Runtime, exchange: Exchange) -> None:
    """Raises ModelNotFound or InvalidRequest."""
    started = runtime.clock()
    snapshot, request, caller = runtime.snapshot, exchange.request, exchange.caller
    entry, policy = snapshot.route(caller, request.model)
    task = task_of(request.metadata, request.body)
    features = Features(
        model=request.model,
        key=caller.key_name,
        input_tokens=estimate_input(request.body),
        output_tokens=request.max_tokens,
        metadata=request.metadata,
        task=task.name,
        task_why=task.why,
    )
    now = runtime.now()
    minutes = minutes_of_day(int(now // 60), snapshot.zones)
    around = Surroundings(now, minutes, runtime.environment, draw_of(exchange.draft.id))
    plan = make_plan(policy, features, request.body, entry.candidates, runtime.health.current(), around)
    exchange.planned(plan, started, runtime.clock())


def draw_of(identity: str) -> float:
    """The same number, 0 <= draw < 1, for the same text, spread evenly over texts."""
    return int.from_bytes(sha256(identity.encode()).digest()[:6]) / 2**48


@lru_cache(maxsize=4)
def minutes_of_day(minute: int, zones: tuple[str, ...]) -> dict[str, int]:
    """The minute of the day in each zone, ``minute`` minutes after the epoch."""
    moment = datetime.fromtimestamp(minute * 60, UTC)
    local = {zone: moment.astimezone(ZoneInfo(zone)) for zone in zones}
    return {zone: at.hour * 60 + at.minute for zone, at in local.items()}
