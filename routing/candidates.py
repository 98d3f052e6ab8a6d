"""Rows -> what a plan may choose from: deployments as candidates, for everybody or for one tenant, and their limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from routing.core.candidate import Candidate
from routing.core.lineup import Lineup, lineup_of
from routing.credentials import Opened, Stored, credential_for, obstacle
from routing.models import Deployment, DeploymentLimit
from tenants.auth import limit_of
from tenants.core.limits import Limit
from tenants.models import Quota

ANY_LENGTH = 2**31

Candidates = Mapping[str, Lineup]
Steps = Sequence[tuple[Deployment, int | None]]  # deployments of a route in its order, with their shares


def candidates_of(steps: Steps, stored: Stored, tenant_id: int | None) -> Candidates:
    """For each kind all candidates, of which those of another kind cannot be used and say why."""
    made = [(row, candidate_of(row, share, tenant_id=tenant_id, stored=stored)) for row, share in steps]
    served = {row.serves for row, _ in steps} or set(Deployment.Serves.values)
    return {kind: lineup_of([_serving(kind, row, candidate) for row, candidate in made]) for kind in served}


def _serving(kind: str, row: Deployment, candidate: Candidate) -> Candidate:
    if row.serves != kind:
        return replace(candidate, unavailable=f"It serves {row.serves}, not {kind}.")
    if kind == Deployment.Serves.EMBEDDINGS:  # each text has to fit by itself, and only the provider can count
        return replace(candidate, context_window=ANY_LENGTH)
    return candidate


def own_candidates(steps: Steps, stored: Stored) -> dict[int, Candidates]:
    """For each tenant with a credential for any of the route's providers, so that a request only looks them up.

    Grows with tenants who bring one x routes of the platform: 1,000 x 10 with 7 candidates each take some 20 MB.
    """
    providers = {row.provider_id for row, _ in steps}
    owners = {tenant_id for provider in providers for tenant_id in owners_of(provider, stored)}
    return {tenant_id: candidates_of(steps, stored, tenant_id) for tenant_id in owners}


def owners_of(provider_id: int, stored: Stored) -> list[int]:
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


def limits_of_all() -> Iterator[Limit]:
    """Every quota and every limit of a deployment (ORM)."""
    yield from map(limit_of, Quota.objects.select_related("tenant", "api_key"))
    yield from map(limit_of_deployment, DeploymentLimit.objects.select_related("deployment"))


def limits_of(row: Deployment) -> tuple[Limit, ...]:
    return tuple(map(limit_of_deployment, row.limits.all()))
