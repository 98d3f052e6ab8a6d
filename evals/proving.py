"""What is registered as the replay before activation (``routing.activation``)."""

from typing import Any

from evals.core.replay_report import report
from evals.replays import bounds_of, compare, owners_of, sample_of, version_of
from routing.core.policy import PolicyInvalid
from routing.models import PolicyVersion


def replay_on_recent(version: PolicyVersion, active: PolicyVersion | None) -> dict[str, Any]:
    """On the newest traces of those whose policy it is. Raises PolicyInvalid."""
    new, policy = version_of(version), version.policy
    try:
        old = None if active is None else version_of(active)
    except PolicyInvalid:  # by SQL written by hand: it serves nobody, so there is nothing to be worse than
        old = None
    if old is None:
        return report([])
    return compare(sample_of(policy, owners_of(policy)), old, new, bounds_of(policy))
