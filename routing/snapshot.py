"""Rows -> frozen values. A request is planned on one ``Snapshot``; a changed row makes a new one within a second."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from routing.core.defaulting import with_default
from routing.core.plan import ActivePolicy, Candidate
from routing.core.policy import PolicyDocument, PolicyInvalid
from routing.core.split import problem_with
from routing.credentials import Opened, Stored, credential_for, obstacle, stored_credentials
from routing.default_policy import default_settings
from routing.documents import read_policy
from routing.models import Deployment, DeploymentLimit, Policy, PolicyVersion, Route
from routing.providers.base import Target
from scheduling.core.lanes import LaneConfig
from scheduling.models import Lane
from tenants.auth import Caller, Callers, limit_of, load_callers
from tenants.core.limits import Limit
from tenants.models import Quota

log = logging.getLogger("relay.snapshot")
ANY_LENGTH = 2**31


Candidates = Mapping[str, tuple[Candidate, ...]]


class ModelNotFound(Exception):
    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model


class PathNotFound(Exception):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class PolicyNotFound(Exception):
    def __init__(self, policy: str) -> None:
        super().__init__(policy)
        self.policy = policy


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """``tenant_id`` None: for everybody. ``target`` is the name of the route that an alias means, else its own.

    ``candidates`` by what is asked for (Deployment.serves); a kind that none of them serves is not there.
    ``shares`` (percent by deployment) is empty without a split. ``own``: the candidates as they are for tenants with
    credentials of their own, by tenant id.
    """

    name: str
    tenant_id: int | None
    policy: str
    candidates: Candidates
    created: int
    target: str
    path: str = ""
    sticky: str = "none"
    shares: Mapping[str, int] = field(default_factory=dict)
    own: Mapping[int, Candidates] = field(default_factory=dict)

    def candidates_for(self, caller: Caller, serves: str) -> tuple[Candidate, ...] | None:
        """None: nobody here serves that."""
        return self.own.get(caller.tenant_id, self.candidates).get(serves)


@dataclass(frozen=True, slots=True)
class Snapshot:
    callers: Callers = field(default_factory=Callers)
    routes: Mapping[tuple[int | None, str], RouteEntry] = field(default_factory=dict)
    paths: Mapping[tuple[int | None, str], RouteEntry] = field(default_factory=dict)
    policies: Mapping[tuple[int | None, str], ActivePolicy] = field(default_factory=dict)
    targets: Mapping[tuple[int | None, str], Target] = field(default_factory=dict)
    lanes: Mapping[str, LaneConfig] = field(default_factory=dict)
    zones: tuple[str, ...] = ("UTC",)  # time zones that policies name
    limited: bool = False  # whether there is any limit at all
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)  # of each deployment that has some

    def route(self, caller: Caller, model: str) -> tuple[RouteEntry, ActivePolicy]:
        """The tenant's own route and policy stand before the platform's of the same name. Raises ModelNotFound."""
        entry = self.routes.get((caller.tenant_id, model)) or self.routes.get((None, model))
        if entry is None:
            raise ModelNotFound(model)
        try:
            return entry, self.policy(caller, entry.policy)
        except PolicyNotFound:
            raise ModelNotFound(model) from None

    def route_at(self, caller: Caller, path: str) -> tuple[RouteEntry, ActivePolicy]:
        """The same by a route's path. Raises PathNotFound."""
        entry = self.paths.get((caller.tenant_id, path)) or self.paths.get((None, path))
        try:
            if entry is not None:
                return entry, self.policy(caller, entry.policy)
        except PolicyNotFound:
            pass
        raise PathNotFound(path)

    def policy(self, caller: Caller, slug: str) -> ActivePolicy:
        """Raises PolicyNotFound."""
        policy = self.policies.get((caller.tenant_id, slug)) or self.policies.get((None, slug))
        if policy is None:
            raise PolicyNotFound(slug)
        return policy

    def target(self, caller: Caller, deployment: str) -> Target:
        """With the tenant's own credential, if it has one for that provider."""
        return self.targets.get((caller.tenant_id, deployment)) or self.targets[None, deployment]

    def routes_of(self, caller: Caller) -> list[RouteEntry]:
        """What ``GET /v1/models`` lists: each name once, the tenant's own first in line for it."""
        names = {name: None for tenant, name in self.routes if tenant in (None, caller.tenant_id)}
        return [self.route(caller, name)[0] for name in sorted(names) if self._has_policy(caller, name)]

    def _has_policy(self, caller: Caller, name: str) -> bool:
        try:
            self.route(caller, name)
        except ModelNotFound:
            return False
        return True


def load() -> Snapshot:
    """Reads every configuration row (ORM; runs on a thread, never on the event loop)."""
    deployments = {row.pk: row for row in Deployment.objects.select_related("provider").prefetch_related("limits")}
    stored = stored_credentials()
    policies = _policies()
    routes = _routes(deployments, stored)
    hours = [rule.when.hours for policy in policies.values() for rule in policy.document.rules if rule.when.hours]
    return Snapshot(
        callers=load_callers(),
        routes={(entry.tenant_id, entry.name): entry for entry in routes},
        paths={(entry.tenant_id, entry.path): entry for entry in routes if entry.path},
        policies=policies,
        targets={
            (tenant_id, row.slug): target_of(row, credential_for(row.provider, tenant_id, stored))
            for row in deployments.values()
            for tenant_id in (None, *_owners(row.provider_id, stored))
        },
        lanes={lane.slug: lane.config() for lane in Lane.objects.all()},
        zones=tuple(sorted({"UTC"} | {item.timezone for item in hours})),
        limited=any(limits_of_all()),
        limits={row.slug: limits for row in deployments.values() if (limits := limits_of(row))},
    )


def _routes(deployments: Mapping[int, Deployment], stored: Stored) -> list[RouteEntry]:
    """An alias has the policy, candidates and split of its target; it is left out with a target that is."""
    rows = {
        row.pk: row for row in Route.objects.filter(enabled=True).select_related("policy").prefetch_related("steps")
    }
    entries = []
    for row in rows.values():
        target = row if row.alias_of_id is None else rows.get(row.alias_of_id)
        if target is None or target.alias_of_id is not None or target.tenant_id not in (None, row.tenant_id):
            continue
        entries.append(
            RouteEntry(
                name=row.name,
                tenant_id=row.tenant_id,
                policy=target.policy.slug,
                candidates=_candidates(target, deployments, stored, row.tenant_id),
                created=int(target.policy.created_at.timestamp()),
                target=target.name,
                path=row.path,
                sticky=target.sticky,
                shares=_shares(target, deployments),
                own=_own_candidates(target, deployments, stored) if row.tenant_id is None else {},
            )
        )
    return entries


def _candidates(
    route: Route, deployments: Mapping[int, Deployment], stored: Stored, tenant_id: int | None
) -> dict[str, tuple[Candidate, ...]]:
    """For each kind all candidates, of which those of another kind cannot be used and say why."""
    steps = [(deployments[step.deployment_id], step.share) for step in route.steps.all()]
    made = [(row, candidate_of(row, share, tenant_id=tenant_id, stored=stored)) for row, share in steps]
    served = {row.serves for row, _ in steps} or set(Deployment.Serves.values)
    return {kind: tuple(_serving(kind, row, candidate) for row, candidate in made) for kind in served}


def _serving(kind: str, row: Deployment, candidate: Candidate) -> Candidate:
    if row.serves != kind:
        return replace(candidate, unavailable=f"It serves {row.serves}, not {kind}.")
    if kind == Deployment.Serves.EMBEDDINGS:  # each text has to fit by itself, and only the provider can count
        return replace(candidate, context_window=ANY_LENGTH)
    return candidate


def _shares(route: Route, deployments: Mapping[int, Deployment]) -> dict[str, int]:
    """Empty without a split, and for shares that only SQL written by hand can have made."""
    shares = {deployments[step.deployment_id].slug: step.share for step in route.steps.all()}
    if problem := problem_with(list(shares.values())):
        log.error("route %s: its split is not used: %s", route.name, problem)
        return {}
    return {slug: share for slug, share in shares.items() if share is not None}


def limits_of_all() -> Iterator[Limit]:
    """Every quota and every limit of a deployment (ORM)."""
    yield from map(limit_of, Quota.objects.select_related("tenant", "api_key"))
    yield from map(limit_of_deployment, DeploymentLimit.objects.select_related("deployment"))


def limits_of(row: Deployment) -> tuple[Limit, ...]:
    return tuple(map(limit_of_deployment, row.limits.all()))


def _policies() -> dict[tuple[int | None, str], ActivePolicy]:
    active = {(row.pk, row.active_version): row for row in Policy.objects.exclude(active_version=None)}
    found, default = {}, default_settings()
    for version in PolicyVersion.objects.filter(policy__in=[pk for pk, _ in active]):
        policy = active.get((version.policy_id, version.number))
        if policy is None:
            continue
        try:
            document = _document(version.text)
        except PolicyInvalid as error:  # only by SQL written by hand; the other policies must stay in force
            log.error("policy %s v%s is not valid and is not used: %s", policy.slug, version.number, error)
            continue
        document = with_default(document, default) if default else document
        found[policy.tenant_id, policy.slug] = ActivePolicy(policy.slug, version.number, document)
    return found


@lru_cache(maxsize=2048)
def _document(text: str) -> PolicyDocument:
    """A version never changes, and reading it takes a millisecond; a change of any row makes all be loaded again."""
    return read_policy(text)


def _own_candidates(route: Route, deployments: Mapping[int, Deployment], stored: Stored) -> dict[int, Candidates]:
    """For each tenant with a credential for any of the route's providers, so that a request only looks them up.

    Grows with tenants who bring one x routes of the platform: 1,000 x 10 with 7 candidates each take some 20 MB.
    """
    providers = {deployments[step.deployment_id].provider_id for step in route.steps.all()}
    owners = {tenant_id for provider in providers for tenant_id in _owners(provider, stored)}
    return {tenant_id: _candidates(route, deployments, stored, tenant_id) for tenant_id in owners}


def _owners(provider_id: int, stored: Stored) -> list[int]:
    return [tenant_id for provider, tenant_id in stored if provider == provider_id and tenant_id is not None]


def candidate_of(row: Deployment, share: int | None = None, *, tenant_id: int | None, stored: Stored) -> Candidate:
    """As it is for one tenant, or for everybody. The platform's limits do not bind a tenant's own account."""
    own = tenant_id is not None and (row.provider_id, tenant_id) in stored
    return Candidate(
        deployment=row.slug,
        provider=row.provider.slug,
        model=row.model,
        context_window=row.context_window,
        price_in=row.price_in_microusd,
        price_out=row.price_out_microusd,
        capacity=row.capacity,
        unavailable=_unavailable(row, credential_for(row.provider, tenant_id, stored)),
        account=str(tenant_id) if own else "",
        share=share,
        environments=tuple(row.provider.environments),
        quality=min(row.quality, 100),
        strengths=_strengths(row.strengths),
        typical_latency_ms=row.typical_latency_ms,
        neurons_in=row.neurons_in,
        neurons_out=row.neurons_out,
        limits=() if own else limits_of(row),
    )


def _strengths(stored: object) -> dict[str, float]:
    """What is no number from 0 to 1 counts as not stated: a row written by hand must not fail requests."""
    given = stored.items() if isinstance(stored, dict) else ()
    return {task: value for task, value in given if isinstance(value, int | float) and 0 <= value <= 1}


def limit_of_deployment(row: DeploymentLimit) -> Limit:
    deployment = row.deployment.slug
    return Limit(f"d{row.pk}", row.metric, row.window, row.limit, timezone=row.timezone, deployment=deployment)


def _unavailable(row: Deployment, credential: Opened) -> str:
    if not row.provider.enabled:
        return "Its provider is switched off."
    if not row.enabled:
        return "It is switched off."
    return obstacle(row.provider, credential)


def target_of(row: Deployment, credential: Opened) -> Target:
    return Target(
        deployment=row.slug,
        provider=row.provider.slug,
        kind=row.provider.kind,
        model=row.model,
        base_url=row.provider.base_url,
        credential=credential.secret,
        allow_private=row.provider.allow_private,
        connect_s=row.connect_timeout_ms / 1000,
        ttft_s=row.ttft_timeout_ms / 1000,
        idle_s=row.idle_timeout_ms / 1000,
        total_s=row.total_timeout_ms / 1000,
        hedge_s=None if row.hedge_after_ms is None else row.hedge_after_ms / 1000,
        options=row.options,
    )
