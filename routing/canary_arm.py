"""What a live canary does to its route, as a request's plan needs it; and why its candidate cannot be tried, if so."""

from collections.abc import Mapping
from dataclasses import dataclass

from routing.candidates import Candidates, Steps, candidate_of, candidates_of, own_candidates
from routing.core.lineup import Lineup
from routing.core.plan import ActivePolicy
from routing.core.policy import PolicyInvalid
from routing.credentials import Stored
from routing.documents import read_policy
from routing.models import Canary, Deployment, Shadow


@dataclass(frozen=True, slots=True)
class CanaryArm:
    """For those on the candidate's side ``deployment`` (empty: none) is asked first, from among ``candidates`` (as
    those of the route are), or ``policy`` (None: none) stands in for the route's."""

    canary: int
    name: str
    share: int
    sticky: str
    deployment: str
    candidates: Candidates
    own: Mapping[int, Candidates]
    policy: ActivePolicy | None = None

    def candidates_for(self, tenant_id: int, serves: str) -> Lineup | None:
        """None: nobody here serves that."""
        return self.own.get(tenant_id, self.candidates).get(serves)


def problem_with_candidate(canary: Canary | Shadow, stored: Stored) -> str:
    """Why it cannot take traffic, in a sentence; empty if it can."""
    if canary.deployment is not None:
        gone = candidate_of(canary.deployment, tenant_id=canary.route.tenant_id, stored=stored).unavailable
        return f"{canary.name} cannot be used: {gone[0].lower()}{gone[1:]}" if gone else ""
    version = canary.policy_version
    if version is None:
        return f"{canary.name} was deleted."
    if version.policy_id != canary.route.policy_id:
        return f"The route follows another policy by now than that of {canary.name}."
    if version.policy.active_version == version.number:
        return f"{canary.name} was made active, so there is nothing to compare it with."
    if isinstance(canary, Canary) and canary.base.rpartition("@")[2] != str(version.policy.active_version):
        return f"{canary.name} was compared with {canary.base}, which is not active any more."
    try:
        read_policy(version.text)
    except PolicyInvalid:
        return f"{canary.name} is not valid."
    return ""


def arm_of(
    canary: Canary, steps: Steps, deployments: Mapping[int, Deployment], stored: Stored, tenant_id: int | None
) -> CanaryArm | None:
    """None where the candidate cannot be used: the base answers everybody until the canary is rolled back for it.

    ``steps``: the route's own. ``tenant_id``: of whom the route, or another name for it, is; None: the platform.
    A candidate that is a policy is put in by the snapshot, which reads them all in the same way.
    """
    if problem_with_candidate(canary, stored):
        return None
    tried = None if canary.deployment_id is None else deployments[canary.deployment_id]
    if tried is not None:
        steps = [(tried, None), *((row, share) for row, share in steps if row.pk != tried.pk)]
    return CanaryArm(
        canary=canary.pk,
        name=canary.name,
        share=canary.share,
        sticky=canary.sticky,
        deployment=tried.slug if tried is not None else "",
        candidates=candidates_of(steps, stored, tenant_id),
        own=own_candidates(steps, stored) if tenant_id is None else {},
    )
