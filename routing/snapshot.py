"""Rows -> frozen values. A request is planned on one ``Snapshot``; a changed row makes a new one within a second."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from django.db.models import F
from django.utils import timezone

from routing.canary_arm import CanaryArm, arm_of
from routing.candidates import Candidates, Steps, candidates_of, limits_of, own_candidates, owners_of
from routing.core.canary import LIVE
from routing.core.defaulting import with_default
from routing.core.lineup import Lineup, digest_of, document_of, document_of_default
from routing.core.plan import ActivePolicy
from routing.core.policy import PolicyInvalid, Settings
from routing.core.split import problem_with
from routing.credentials import Opened, Stored, credential_for, stored_credentials
from routing.default_policy import default_settings
from routing.documents import saved_policy
from routing.models import Canary, Deployment, Policy, PolicyVersion, Route, Shadow
from routing.providers.base import Target
from routing.shadows.arm import ShadowArm, shadow_arm_of
from scheduling.core.lanes import LaneConfig
from scheduling.models import Lane
from tenants.auth import Caller, Callers, load_callers, may
from tenants.core.limits import Limit
from tenants.models import Quota

log = logging.getLogger("relay.snapshot")
Arm = TypeVar("Arm", CanaryArm, ShadowArm)


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
    canary: CanaryArm | None = None
    shadow: ShadowArm | None = None

    def candidates_for(self, caller: Caller, serves: str) -> Lineup | None:
        """None: nobody here serves that."""
        return self.own.get(caller.tenant_id, self.candidates).get(serves)


@dataclass(frozen=True, slots=True)
class Snapshot:
    callers: Callers = field(default_factory=Callers)
    routes: Mapping[tuple[int | None, str], RouteEntry] = field(default_factory=dict)
    paths: Mapping[tuple[int | None, str], RouteEntry] = field(default_factory=dict)
    policies: Mapping[tuple[int | None, str], ActivePolicy] = field(default_factory=dict)
    proven: Mapping[tuple[int | None, str], ActivePolicy] = field(default_factory=dict)  # by “name@version”
    targets: Mapping[tuple[int | None, str], Target] = field(default_factory=dict)
    lanes: Mapping[str, LaneConfig] = field(default_factory=dict)
    zones: tuple[str, ...] = ("UTC",)  # time zones that policies name
    limited: bool = False  # whether there is any limit at all
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)  # of each deployment that has some
    default: str = ""  # the digest of what the default strategy says; empty: there is none
    contexts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # what traces name by its digest

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

    def version(self, caller: Caller, name: str) -> ActivePolicy:
        """The policy “name@version”: the active version, or for a key that may one that is being proven. Raises
        PolicyNotFound."""
        slug, _, number = name.partition("@")
        active = self.policies.get((caller.tenant_id, slug)) or self.policies.get((None, slug))
        if active is not None and str(active.version) == number:
            return active
        policy = self.proven.get((caller.tenant_id, name)) or self.proven.get((None, name))
        if policy is None or not may(caller, "evals"):
            raise PolicyNotFound(name)
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
    default = default_settings()
    policies = _policies(default)
    routes = _routes(deployments, stored, default)
    proven = _proven(default)
    contexts = _contexts(routes)
    said = {} if default is None else document_of_default(default)
    arms = [arm for entry in routes for arm in (entry.canary, entry.shadow) if arm is not None]
    tried = [arm.policy for arm in arms if arm.policy is not None]
    documents = [policy.document for policy in (*policies.values(), *proven.values(), *tried)]
    hours = [rule.when.hours for document in documents for rule in document.rules if rule.when.hours]
    limits = {row.slug: found for row in deployments.values() if (found := limits_of(row))}
    return Snapshot(
        callers=load_callers(),
        routes={(entry.tenant_id, entry.name): entry for entry in routes},
        paths={(entry.tenant_id, entry.path): entry for entry in routes if entry.path},
        policies=policies,
        proven=proven,
        targets={
            (tenant_id, row.slug): target_of(row, credential_for(row.provider, tenant_id, stored))
            for row in deployments.values()
            for tenant_id in (None, *owners_of(row.provider_id, stored))
        },
        lanes={lane.slug: lane.config() for lane in Lane.objects.all()},
        zones=tuple(sorted({"UTC"} | {item.timezone for item in hours})),
        limited=bool(limits) or Quota.objects.exists(),
        limits=limits,
        default=digest_of(said) if said else "",
        contexts=contexts | ({digest_of(said): said} if said else {}),
    )


def _contexts(routes: Iterable[RouteEntry]) -> dict[str, Mapping[str, Any]]:
    """The documents of all candidates that a request may be planned with."""
    found = [entry for route in routes for entry in (route, route.canary) if entry is not None]
    lineups = {
        one.digest: one
        for entry in found
        for candidates in (entry.candidates, *entry.own.values())
        for one in candidates.values()
    }
    return {digest: document_of(one.candidates) for digest, one in lineups.items()}


def _routes(deployments: Mapping[int, Deployment], stored: Stored, default: Settings | None) -> list[RouteEntry]:
    """An alias has the policy, candidates, split, canary and shadow of its target, and is left out with it."""
    related = ("route", "deployment__provider", "policy_version__policy")
    canaries = {row.route_id: row for row in Canary.objects.filter(state__in=LIVE).select_related(*related)}
    live = Shadow.objects.filter(stopped_at=None).select_related("route__tenant", *related)
    shadows = {row.route_id: row for row in live}
    rows = {
        row.pk: row for row in Route.objects.filter(enabled=True).select_related("policy").prefetch_related("steps")
    }
    entries = []
    for row in rows.values():
        target = row if row.alias_of_id is None else rows.get(row.alias_of_id)
        if target is None or target.alias_of_id is not None or target.tenant_id not in (None, row.tenant_id):
            continue
        steps, canary, shadow = _steps(target, deployments), canaries.get(target.pk), shadows.get(target.pk)
        arm = arm_of(canary, steps, deployments, stored, row.tenant_id) if canary else None
        copied = shadow_arm_of(shadow, steps, deployments, stored, row.tenant_id) if shadow else None
        entries.append(
            RouteEntry(
                name=row.name,
                tenant_id=row.tenant_id,
                policy=target.policy.slug,
                candidates=candidates_of(steps, stored, row.tenant_id),
                created=int(target.policy.created_at.timestamp()),
                target=target.name,
                path=row.path,
                sticky=target.sticky,
                shares=_shares(target, steps),
                own=own_candidates(steps, stored) if row.tenant_id is None else {},
                canary=_with_policy(arm, canary, default) if arm and canary else None,
                shadow=_with_policy(copied, shadow, default) if copied and shadow else None,
            )
        )
    return entries


def _with_policy(arm: Arm, row: Canary | Shadow, default: Settings | None) -> Arm:
    """The arm with the version that it tries, if it tries one, as that will be once it is active."""
    version = row.policy_version
    return arm if version is None else replace(arm, policy=_active(version, default))


def _steps(route: Route, deployments: Mapping[int, Deployment]) -> Steps:
    return [(deployments[step.deployment_id], step.share) for step in route.steps.all()]


def _shares(route: Route, steps: Steps) -> dict[str, int]:
    """Empty without a split, and for shares that only SQL written by hand can have made."""
    shares = {row.slug: share for row, share in steps}
    if problem := problem_with(list(shares.values())):
        log.error("route %s: its split is not used: %s", route.name, problem)
        return {}
    return {slug: share for slug, share in shares.items() if share is not None}


def _policies(default: Settings | None) -> dict[tuple[int | None, str], ActivePolicy]:
    active = PolicyVersion.objects.filter(number=F("policy__active_version")).select_related("policy")
    return {(policy.tenant_id, policy.slug): value for policy, value in _read(active, default)}


def _proven(default: Settings | None) -> dict[tuple[int | None, str], ActivePolicy]:
    served = PolicyVersion.objects.filter(served__until__gt=timezone.now()).select_related("policy")
    return {(policy.tenant_id, f"{value.slug}@{value.version}"): value for policy, value in _read(served, default)}


def _read(versions: Iterable[PolicyVersion], default: Settings | None) -> Iterator[tuple[Policy, ActivePolicy]]:
    for version in versions:
        policy = version.policy
        try:
            active = _active(version, default)
        except PolicyInvalid as error:  # an unfinished draft, or SQL by hand: the other policies must stay in force
            log.error("policy %s v%s is not valid and is not used: %s", policy.slug, version.number, error)
            continue
        yield policy, active


def _active(version: PolicyVersion, default: Settings | None) -> ActivePolicy:
    """Raises PolicyInvalid."""
    policy, document = version.policy, saved_policy(version.text)
    document = with_default(document, default) if default else document
    return ActivePolicy(policy.slug, version.number, document, own=policy.tenant_id is not None)


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
