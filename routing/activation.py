"""Nothing goes live unproven: a version is replayed on recent traffic before it is activated, by whoever it may be.

The console and the commands call this. Seeds and canaries do not: the first have nothing to be compared with, and a
candidate that passed its canary was proven on live traffic.
"""

from collections.abc import Callable
from typing import Any

from django.db import transaction

from routing import services
from routing.models import Policy, PolicyVersion, Proof

Replay = Callable[[PolicyVersion, PolicyVersion | None], dict[str, Any]]
# Replays the new version beside the active one (None: none is): its report, at least {sample, verdict, why}. Registered
# once, when Django starts, by the room above that knows how.
REPLAYS: list[Replay] = []


class NotProven(Exception):
    """The replay says that it is worse, and nobody gave a reason to activate it all the same."""

    def __init__(self, proof: Proof) -> None:
        super().__init__(proof.report["why"])
        self.proof = proof


def replay(version: PolicyVersion) -> dict[str, Any]:
    """Raises PolicyInvalid."""
    policy = version.policy
    active = policy.versions.filter(number=policy.active_version).first() if policy.active_version else None
    (found,) = REPLAYS
    return found(version, active)


def activate_proven(
    *, policy: Policy, number: int, expected: int | None, note: str = "", by: str = "", override: str = ""
) -> tuple[PolicyVersion, Proof]:
    """The version, live if its replay is not worse than what is live now, or ``override`` says why it shall be all the
    same (the caller has checked who may). Either way the proof is kept.

    Raises NotProven, and as ``services.activate``.
    """
    version = policy.versions.select_related("policy").get(number=number)
    report = replay(version)
    worse = report["verdict"] == Proof.Verdict.WORSE
    proof = Proof(
        version=version,
        base=version.policy.active_version,
        sample=report["sample"],
        verdict=report["verdict"],
        report=report,
        override=override[:500] if worse else "",
        activated=not worse or bool(override),
        by=by[:150],
    )
    if not proof.activated:
        proof.save()
        raise NotProven(proof)
    with transaction.atomic():
        proof.save()
        live = services.activate(policy=policy, number=number, expected=expected, note=note)
    return live, proof
