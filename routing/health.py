"""What recent attempts say of each deployment: one that fails is tried last for a while, longer each time."""

from collections.abc import Mapping
from dataclasses import replace

from routing.core.evidence import NOTHING_KNOWN, Evidence

FIRST_S, LONGEST_S = 2.0, 60.0


class HealthBoard:
    """Kept in each process; a value for the planner, changed by outcomes only."""

    def __init__(self) -> None:
        self._failing: dict[str, Evidence] = {}
        self._streak: dict[str, int] = {}

    def current(self) -> Mapping[str, Evidence]:
        return self._failing

    def failed(self, deployment: str, why: str, *, now: float, retry_after_s: float | None = None) -> None:
        known = self._failing.get(deployment)
        again = known is None or known.retry_at <= now  # requests that fail together count once
        streak = self._streak[deployment] = self._streak.get(deployment, 0) + again
        pause = min(LONGEST_S, FIRST_S * 2 ** min(streak - 1, 10))
        if retry_after_s is not None:
            pause = max(pause, min(retry_after_s, 3600.0))
        said = f"Failed lately ({why.rstrip('.')})"
        self._failing[deployment] = replace(known or NOTHING_KNOWN, retry_at=now + pause, why=said)

    def answered(self, deployment: str) -> None:
        if deployment in self._streak:
            del self._streak[deployment]
            known = self._failing.pop(deployment)
            if known.quota_left is not None:
                self._failing[deployment] = replace(
                    NOTHING_KNOWN, quota_left=known.quota_left, quota_why=known.quota_why
                )

    def quota(self, deployment: str, left: float, why: str, exhausted_until: float) -> None:
        """``left`` (0 to 1) of its tightest limit, ``why`` says which; nothing is left until ``exhausted_until``."""
        known = self._failing.get(deployment, NOTHING_KNOWN)
        self._failing[deployment] = replace(known, quota_left=left, quota_why=why)
