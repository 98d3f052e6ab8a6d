"""From a request to its plan: the route and policy of the snapshot, the features, the surroundings."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from routing.core.features import Features
from routing.core.plan import ActivePolicy, Surroundings, make_plan
from routing.core.request import ANY_MODEL, InvalidRequest
from routing.core.split import Split, draw_of, split_of, sticks_to
from routing.core.strategies import STRATEGIES
from routing.core.tasks import task_of
from routing.exchange import Exchange
from routing.runtime import Runtime
from routing.snapshot import ModelNotFound, PolicyNotFound, RouteEntry, Snapshot


def plan_request(runtime: Runtime, exchange: Exchange) -> None:
    """Raises PathNotFound, ModelNotFound, PolicyNotFound or InvalidRequest."""
    started = runtime.clock()
    snapshot, request, caller = runtime.snapshot, exchange.request, exchange.caller
    entry, policy = _chosen(snapshot, exchange)
    candidates = entry.candidates_for(caller, exchange.kind.serves)
    if candidates is None:
        raise InvalidRequest(f"“{entry.name}” does not serve {exchange.kind.serves}.", "model")
    task = task_of(request.metadata, request.body)
    features = Features(
        model=entry.target,
        key=caller.key_name,
        input_tokens=exchange.kind.input_tokens(request.body),
        output_tokens=request.max_tokens,
        metadata=request.metadata,
        split=_split(entry, exchange),
        task=task.name,
        task_why=task.why,
    )
    now = runtime.now()
    minutes = minutes_of_day(int(now // 60), snapshot.zones)
    around = Surroundings(now, minutes, runtime.environment, draw_of(exchange.draft.id))
    plan = make_plan(policy, features, request.body, candidates, runtime.health.current(), around)
    exchange.planned(plan, started, runtime.clock())


def _chosen(snapshot: Snapshot, exchange: Exchange) -> tuple[RouteEntry, ActivePolicy]:
    """The route by its path, whatever model was sent, else by its name; its policy, unless the client named one."""
    request, caller = exchange.request, exchange.caller
    if request.path:
        entry, policy = snapshot.route_at(caller, request.path)
    elif request.model:
        entry, policy = snapshot.route(caller, request.model)
    else:
        entry, policy = _any_route(snapshot, exchange)
    exchange.routed(entry)
    return entry, _named(snapshot, exchange, policy) if request.policy else policy


def _named(snapshot: Snapshot, exchange: Exchange, policy: ActivePolicy) -> ActivePolicy:
    """The policy that the client named, or the route's with the strategy that it named. Raises PolicyNotFound."""
    name = exchange.request.policy
    try:
        return snapshot.policy(exchange.caller, name)
    except PolicyNotFound:
        if name not in STRATEGIES:
            raise
        return policy.with_strategy(name)


def _any_route(snapshot: Snapshot, exchange: Exchange) -> tuple[RouteEntry, ActivePolicy]:
    try:
        return snapshot.route(exchange.caller, ANY_MODEL)
    except ModelNotFound:
        message = f"There is no route “{ANY_MODEL}”, so “model” must name one of GET /v1/models."
        raise InvalidRequest(message, "model") from None


def _split(entry: RouteEntry, exchange: Exchange) -> Split | None:
    if not entry.shares:
        return None
    request, caller = exchange.request, exchange.caller
    by, identity = sticks_to(
        entry.sticky,
        request.body,
        key=caller.key_id,
        user=request.metadata.get("user", ""),
        request=exchange.draft.id,
    )
    return split_of(entry.shares, by, identity=identity, salt=f"{caller.tenant}/{entry.target}")


@lru_cache(maxsize=4)
def minutes_of_day(minute: int, zones: tuple[str, ...]) -> dict[str, int]:
    """The minute of the day in each zone, ``minute`` minutes after the epoch."""
    moment = datetime.fromtimestamp(minute * 60, UTC)
    local = {zone: moment.astimezone(ZoneInfo(zone)) for zone in zones}
    return {zone: at.hour * 60 + at.minute for zone, at in local.items()}
