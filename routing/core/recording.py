"""What a trace keeps of a decision, so that ``replay`` can make it again: every input that the plan does not hold.

It must be small and cheap, as it is made for every request. Prompts are not in it: a plan sees only their figures.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from routing.core.evidence import NOTHING_KNOWN, Burn, Evidence
from routing.core.features import Features
from routing.core.lineup import Lineup
from routing.core.plan import ActivePolicy, ExecutionPlan, make_plan
from routing.core.policy_reading import SAMPLING
from routing.core.surroundings import Surroundings

EVIDENCE = tuple(name for name in Evidence.__dataclass_fields__ if name != "burn")


class Decision(NamedTuple):
    """All that one plan is made of. ``asked`` is the client's body, ``default`` names the platform's default strategy
    of that moment (empty: there is none), whether the policy takes it or not."""

    policy: ActivePolicy
    features: Features
    asked: Mapping[str, Any]
    lineup: Lineup
    evidence: Mapping[str, Evidence]
    around: Surroundings
    default: str = ""

    def plan(self) -> ExecutionPlan:
        """Raises InvalidRequest."""
        return make_plan(self.policy, self.features, self.asked, self.lineup.candidates, self.evidence, self.around)


def inputs_of(given: Decision) -> dict[str, Any]:
    """inputs_json of the trace. What has its usual value is left out.

    ``asked``: sampling parameters that the client set; ``minutes``: of the day, in the time zones that the policy
    names besides UTC; ``evidence`` by ``Candidate.circuit``; ``shares``: the split in its order, which a JSON object
    loses; ``own``: the policy is the tenant's.
    """
    policy, around = given.policy, given.around
    inputs: dict[str, Any] = {
        "at": around.now,
        "draw": around.draw,
        "environment": around.environment,
        "lineup": given.lineup.digest,
    }
    if given.default:
        inputs["default"] = given.default
    if policy.own:
        inputs["own"] = True
    if policy.strategy_named:
        inputs["strategy"] = policy.strategy_named
    if policy.zones:
        inputs["minutes"] = {zone: around.minute_of_day[zone] for zone in policy.zones}
    if asked := [name for name in SAMPLING if given.asked.get(name) is not None]:
        inputs["asked"] = asked
    if given.features.split is not None:
        inputs["shares"] = list(given.features.split.shares.items())
    if known := _known(given):
        inputs["evidence"] = known
    return inputs


def _known(given: Decision) -> dict[str, Mapping[str, Any]]:
    evidence = given.evidence
    names = [item.circuit for item in given.lineup.candidates] if evidence else []
    return {name: told for name in names if (told := told_of(evidence.get(name, NOTHING_KNOWN)))}


@lru_cache(maxsize=4096)
def told_of(known: Evidence) -> Mapping[str, Any]:
    """Its fields that are not as for a deployment of which nothing is known. Evidence changes once a second, requests
    come a thousand times as often."""
    told = {name: value for name in EVIDENCE if (value := getattr(known, name)) != getattr(NOTHING_KNOWN, name)}
    if known.burn != NOTHING_KNOWN.burn:
        told["burn"] = {name: value for name in Burn.__dataclass_fields__ if (value := getattr(known.burn, name))}
    return told


def evidence_of(told: Mapping[str, Any]) -> Evidence:
    """Raises TypeError for what ``told_of`` never made."""
    return Evidence(**{**told, "burn": Burn(**told.get("burn", {}))})
