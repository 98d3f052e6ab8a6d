"""Rows -> frozen values. A request is planned on one ``Snapshot``; a changed row makes a new one within a second."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from routing.core.plan import ActivePolicy, Candidate
from routing.core.policy import PolicyInvalid
from routing.credentials import Opened, Stored, credential_for, obstacle, stored_credentials
from routing.documents import read_policy
from routing.models import Deployment, DeploymentLimit, Policy, PolicyVersion, Route
from routing.providers.base import Target
from scheduling.core.lanes import LaneConfig
from scheduling.models import Lane
from tenants.auth import Caller, Callers, load_callers
from tenants.core.limits import Limit

log = logging.getLogger("relay.snapshot")


class ModelNotFound(Exception):
    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """``tenant_id`` None: for everybody. ``own``: by tenant id, for those who bring a credential of their own."""

    name: str
    tenant_id: int | None
    policy: str
    candidates: tuple[Candidate, ...]
    created: int
    own: Mapping[int, tuple[Candidate, ...]] = field(default_factory=dict)

    def candidates_for(self, caller: Caller) -> tuple[Candidate, ...]:
        return self.own.get(caller.tenant_id, self.candidates)


@dataclass(frozen=True, slots=True)
class Snapshot:
    callers: Callers = field(default_factory=Callers)
    routes: Mapping[tuple[int | None, str], RouteEntry] = field(default_factory=dict)
    policies: Mapping[tuple[int | None, str], ActivePolicy] = field(default_factory=dict)
    targets: Mapping[tuple[int | None, str], Target] = field(default_factory=dict)
    lanes: Mapping[str, LaneConfig] = field(default_factory=dict)
    zones: tuple[str, ...] = ("UTC",)  # time zones that policies name

    def route(self, caller: Caller, model: str) -> tuple[RouteEntry, ActivePolicy]:
        """The tenant's own route and policy stand before the platform's of the same name. Raises ModelNotFound."""
        entry = self.routes.get((caller.tenant_id, model)) or self.routes.get((None, model))
        if entry is None:
            raise ModelNotFound(model)
        policy = self.policies.get((caller.tenant_id, entry.policy)) or self.policies.get((None, entry.policy))
        if policy is None:
            raise ModelNotFound(model)
        return entry, policy

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
    hours = [rule.when.hours for policy in policies.values() for rule in policy.document.rules if rule.when.hours]
    return Snapshot(
        callers=load_callers(),
        routes={
            (route.tenant_id, route.name): RouteEntry(
                name=route.name,
                tenant_id=route.tenant_id,
                policy=route.policy.slug,
                candidates=_candidates(route, deployments, stored, route.tenant_id),
                created=int(route.policy.created_at.timestamp()),
                own=_own_candidates(route, deployments, stored) if route.tenant_id is None else {},
            )
            for route in Route.objects.filter(enabled=True).select_related("policy").prefetch_related("steps")
        },
        policies=policies,
        targets={
            (tenant_id, row.slug): _target(row, credential_for(row.provider, tenant_id, stored))
            for row in deployments.values()
            for tenant_id in (None, *_owners(row.provider_id, stored))
        },
        lanes={lane.slug: lane.config() for lane in Lane.objects.all()},
        zones=tuple(sorted({"UTC"} | {item.timezone for item in hours})),
    )


def _policies() -> dict[tuple[int | None, str], ActivePolicy]:
    active = {(row.pk, row.active_version): row for row in Policy.objects.exclude(active_version=None)}
    found = {}
    for version in PolicyVersion.objects.filter(policy__in=[pk for pk, _ in active]):
        policy = active.get((version.policy_id, version.number))
        if policy is None:
            continue
        try:
            found[policy.tenant_id, policy.slug] = ActivePolicy(policy.slug, version.number, read_policy(version.text))
        except PolicyInvalid as error:  # only by SQL written by hand; the other policies must stay in force
            log.error("policy %s v%s is not valid and is not used: %s", policy.slug, version.number, error)
    return found


def _candidates(
    route: Route, deployments: Mapping[int, Deployment], stored: Stored, tenant_id: int | None
) -> tuple[Candidate, ...]:
    return tuple(
        candidate_of(deployments[step.deployment_id], step.share, tenant_id=tenant_id, stored=stored)
        for step in route.steps.all()
    )


def _own_candidates(
    route: Route, deployments: Mapping[int, Deployment], stored: Stored
) -> dict[int, tuple[Candidate, ...]]:
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
        quality=row.quality,
        strengths=row.strengths,
        typical_latency_ms=row.typical_latency_ms,
        neurons_in=row.neurons_in,
        neurons_out=row.neurons_out,
        limits=() if own else tuple(map(_limit, row.limits.all())),
    )


def _limit(row: DeploymentLimit) -> Limit:
    deployment = row.deployment.slug
    return Limit(f"d{row.pk}", row.metric, row.window, row.limit, timezone=row.timezone, deployment=deployment)


def _unavailable(row: Deployment, credential: Opened) -> str:
    if not row.provider.enabled:
        return "Its provider is switched off."
    if not row.enabled:
        return "It is switched off."
    return obstacle(row.provider, credential)


def _target(row: Deployment, credential: Opened) -> Target:
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
        options=row.options,
    )
