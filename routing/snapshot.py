"""Rows -> frozen values. A request is planned on one ``Snapshot``; a changed row makes a new one within a second."""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from routing.core.plan import ActivePolicy, Candidate
from routing.core.policy import PolicyInvalid
from routing.documents import read_policy
from routing.models import Deployment, DeploymentLimit, Policy, PolicyVersion, Route
from routing.providers.base import Target
from scheduling.core.lanes import LaneConfig
from scheduling.models import Lane
from tenants.auth import Caller, Callers, limit_of, load_callers
from tenants.core.limits import Limit
from tenants.models import Quota

log = logging.getLogger("relay.snapshot")


class ModelNotFound(Exception):
    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """``tenant_id`` None: for everybody."""

    name: str
    tenant_id: int | None
    policy: str
    candidates: tuple[Candidate, ...]
    created: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    callers: Callers = field(default_factory=Callers)
    routes: Mapping[tuple[int | None, str], RouteEntry] = field(default_factory=dict)
    policies: Mapping[tuple[int | None, str], ActivePolicy] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    lanes: Mapping[str, LaneConfig] = field(default_factory=dict)
    zones: tuple[str, ...] = ("UTC",)  # time zones that policies name
    limited: bool = False  # whether there is any limit at all
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)  # of each deployment that has some

    def route(self, caller: Caller, model: str) -> tuple[RouteEntry, ActivePolicy]:
        """The tenant's own route and policy stand before the platform's of the same name. Raises ModelNotFound."""
        entry = self.routes.get((caller.tenant_id, model)) or self.routes.get((None, model))
        if entry is None:
            raise ModelNotFound(model)
        policy = self.policies.get((caller.tenant_id, entry.policy)) or self.policies.get((None, entry.policy))
        if policy is None:
            raise ModelNotFound(model)
        return entry, policy

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
    policies = _policies()
    hours = [rule.when.hours for policy in policies.values() for rule in policy.document.rules if rule.when.hours]
    return Snapshot(
        callers=load_callers(),
        routes={
            (route.tenant_id, route.name): RouteEntry(
                name=route.name,
                tenant_id=route.tenant_id,
                policy=route.policy.slug,
                candidates=tuple(
                    candidate_of(deployments[step.deployment_id], step.share) for step in route.steps.all()
                ),
                created=int(route.policy.created_at.timestamp()),
            )
            for route in Route.objects.filter(enabled=True).select_related("policy").prefetch_related("steps")
        },
        policies=policies,
        targets={row.slug: _target(row) for row in deployments.values()},
        lanes={lane.slug: lane.config() for lane in Lane.objects.all()},
        zones=tuple(sorted({"UTC"} | {item.timezone for item in hours})),
        limited=any(limits_of_all()),
        limits={row.slug: limits for row in deployments.values() if (limits := limits_of(row))},
    )


def limits_of_all() -> Iterator[Limit]:
    """Every quota and every limit of a deployment (ORM)."""
    yield from map(limit_of, Quota.objects.select_related("tenant", "api_key"))
    yield from map(limit_of_deployment, DeploymentLimit.objects.select_related("deployment"))


def limits_of(row: Deployment) -> tuple[Limit, ...]:
    return tuple(map(limit_of_deployment, row.limits.all()))


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


def candidate_of(row: Deployment, share: int | None = None) -> Candidate:
    return Candidate(
        deployment=row.slug,
        provider=row.provider.slug,
        model=row.model,
        context_window=row.context_window,
        price_in=row.price_in_microusd,
        price_out=row.price_out_microusd,
        capacity=row.capacity,
        unavailable=_unavailable(row),
        share=share,
        environments=tuple(row.provider.environments),
        quality=row.quality,
        strengths=row.strengths,
        typical_latency_ms=row.typical_latency_ms,
        neurons_in=row.neurons_in,
        neurons_out=row.neurons_out,
        limits=limits_of(row),
    )


def limit_of_deployment(row: DeploymentLimit) -> Limit:
    deployment = row.deployment.slug
    return Limit(f"d{row.pk}", row.metric, row.window, row.limit, timezone=row.timezone, deployment=deployment)


def _unavailable(row: Deployment) -> str:
    if not row.provider.enabled:
        return "Its provider is switched off."
    if not row.enabled:
        return "It is switched off."
    if row.provider.credential_env and not os.environ.get(row.provider.credential_env):
        return f"{row.provider.credential_env} is not set."
    return ""


def _target(row: Deployment) -> Target:
    return Target(
        deployment=row.slug,
        provider=row.provider.slug,
        kind=row.provider.kind,
        model=row.model,
        base_url=row.provider.base_url,
        credential=os.environ.get(row.provider.credential_env, "") if row.provider.credential_env else "",
        connect_s=row.connect_timeout_ms / 1000,
        ttft_s=row.ttft_timeout_ms / 1000,
        idle_s=row.idle_timeout_ms / 1000,
        total_s=row.total_timeout_ms / 1000,
        options=row.options,
    )
