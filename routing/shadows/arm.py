"""What a live shadow needs to be asked, as a request finds it; and why its candidate cannot be asked, if so."""

from collections.abc import Mapping
from dataclasses import dataclass

from routing.canary_arm import problem_with_candidate
from routing.candidates import Steps, candidate_of, candidates_of, owners_of
from routing.core.candidate import Candidate
from routing.core.plan import ActivePolicy
from routing.core.split import draw_of
from routing.credentials import Stored
from routing.models import Deployment, Shadow

SERVES = Deployment.Serves.CHAT


@dataclass(frozen=True, slots=True)
class ShadowArm:
    """Either ``deployment`` is asked as the request's own plan says, or whom ``policy`` would ask of ``candidates``.

    ``without``: tenants that bring accounts of their own. What they send goes to those accounts only, so a shadow of
    the platform, which has no right to spend from them, leaves them out.
    """

    shadow: int
    route: str  # “name”, of a tenant's own “tenant/name”
    percent: float
    budget_microusd: int
    concurrent: int
    similarity: bool
    until: float | None  # epoch seconds
    deployment: Candidate | None
    candidates: tuple[Candidate, ...]
    without: frozenset[int]
    policy: ActivePolicy | None = None

    def wants(self, tenant_id: int, trace: str, now: float) -> bool:
        """Whether it gets a copy of the request with this trace, by a draw of the shadow's own."""
        over = self.until is not None and now >= self.until
        return (
            not over
            and tenant_id not in self.without
            and draw_of(f"shadow {self.shadow}\n{trace}") < (self.percent / 100)
        )


def problem_with(shadow: Shadow, stored: Stored) -> str:
    """Why it cannot be asked, in a sentence; empty if it can."""
    row = shadow.deployment
    if row is not None and row.serves != SERVES:
        return f"{shadow.name} serves {row.serves}: only chat is compared."
    if row is not None and row.limits.exists():
        return f"{shadow.name} has limits of its own, in which copies would have to count like requests of clients."
    return problem_with_candidate(shadow, stored)


def shadow_arm_of(
    shadow: Shadow, steps: Steps, deployments: Mapping[int, Deployment], stored: Stored, tenant_id: int | None
) -> ShadowArm | None:
    """None where the candidate cannot be asked. ``steps`` and ``tenant_id`` as ``canary_arm.arm_of`` has them; and as
    there, the snapshot puts in a policy."""
    if problem_with(shadow, stored):
        return None
    version, route = shadow.policy_version, shadow.route
    lineup = candidates_of(steps, stored, tenant_id).get(SERVES) if version is not None else None
    tried = None if shadow.deployment_id is None else deployments[shadow.deployment_id]
    asked = [row for row, _ in steps] + ([tried] if tried is not None else [])
    owners = (owner for row in asked for owner in owners_of(row.provider_id, stored))
    return ShadowArm(
        shadow=shadow.pk,
        route=f"{route.tenant.slug}/{route.name}" if route.tenant is not None else route.name,
        percent=shadow.percent,
        budget_microusd=shadow.budget_microusd,
        concurrent=shadow.concurrent,
        similarity=shadow.similarity,
        until=shadow.until.timestamp() if shadow.until is not None else None,
        deployment=candidate_of(tried, tenant_id=tenant_id, stored=stored) if tried is not None else None,
        candidates=lineup.candidates if lineup is not None else (),
        without=frozenset(owners) if route.tenant_id is None else frozenset(),
    )
