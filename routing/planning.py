"""From a request to its plan: the route and policy of the snapshot, the features, the surroundings."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from routing.core.features import Features
from routing.core.plan import ActivePolicy, Surroundings
from routing.core.recording import Decision
from routing.core.request import ANY_MODEL, InvalidRequest
from routing.core.split import Split, draw_of, split_of, sticks_to
from routing.core.strategies import STRATEGIES
from routing.core.tasks import task_of
from routing.core.trial import Trial, trial_of
from routing.exchange import Exchange
from routing.runtime import Runtime
from routing.snapshot import ModelNotFound, PolicyNotFound, RouteEntry, Snapshot


def plan_request(runtime: Runtime, exchange: Exchange) -> None:
    """Raises PathNotFound, ModelNotFound, PolicyNotFound or InvalidRequest."""
    started = runtime.clock()
    snapshot, request, caller = runtime.snapshot, exchange.request, exchange.caller
    entry, policy = _chosen(snapshot, exchange)
    trial = _trial(entry, exchange)
    lineup = entry.candidates_for(caller, exchange.kind.serves)
    if trial is not None and trial.candidate and entry.canary is not None:
        policy = entry.canary.policy or policy
        lineup = entry.canary.candidates_for(caller.tenant_id, exchange.kind.serves)
    if lineup is None:
        raise InvalidRequest(f"“{entry.name}” does not serve {exchange.kind.serves}.", "model")
    exchange.shadow = None if trial is not None and trial.candidate else entry.shadow
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
        trial=trial,
    )
    now = runtime.now()
    minutes = minutes_of_day(int(now // 60), snapshot.zones)
    around = Surroundings(now, minutes, runtime.environment, _draw(entry, exchange))
    health = runtime.health.current()
    given = Decision(policy, features, request.body, lineup, health, around, snapshot.default)
    exchange.deciding(given)
    exchange.planned(given.plan(), started, runtime.clock())


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
    if "@" in name:
        return snapshot.version(exchange.caller, name)
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
    by, identity = _sticks(entry.sticky, exchange)
    return split_of(entry.shares, by, identity=identity, salt=f"{exchange.caller.tenant}/{entry.target}")


def _trial(entry: RouteEntry, exchange: Exchange) -> Trial | None:
    """A client that names its policy is not part of a trial of another."""
    canary = entry.canary
    if canary is None or (canary.policy is not None and exchange.request.policy):
        return None
    by, identity = _sticks(canary.sticky, exchange)
    return trial_of(
        canary.canary,
        name=canary.name,
        deployment=canary.deployment,
        share=canary.share,
        sticky=by,
        identity=f"{exchange.caller.tenant}/{identity}",
    )


def _draw(entry: RouteEntry, exchange: Exchange) -> float:
    """What the strategies “weighted” and “canary” go by: as sticky as the route is."""
    by, identity = _sticks(entry.sticky, exchange)
    return draw_of(identity if by == "request" else f"{exchange.caller.tenant}/{entry.target}\n{by}\n{identity}")


def _sticks(sticky: str, exchange: Exchange) -> tuple[str, str]:
    """What stays on its side, and its identity."""
    request, key = exchange.request, exchange.caller.key_id
    named = request.metadata.get("user", "")
    return sticks_to(sticky, request.body, key=key, user=named, request=exchange.draft.id)


@lru_cache(maxsize=4)
def minutes_of_day(minute: int, zones: tuple[str, ...]) -> dict[str, int]:
    """The minute of the day in each zone, ``minute`` minutes after the epoch."""
    moment = datetime.fromtimestamp(minute * 60, UTC)
    local = {zone: moment.astimezone(ZoneInfo(zone)) for zone in zones}
    return {zone: at.hour * 60 + at.minute for zone, at in local.items()}
