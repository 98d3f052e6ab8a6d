"""What recent attempts say of each deployment: one that fails is tried last for a while, longer each time."""

from collections.abc import Mapping

from routing.core.evidence import Evidence

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
        self._failing[deployment] = Evidence(retry_at=now + pause, why=f"Failed lately ({why.rstrip('.')})")

    def answered(self, deployment: str) -> None:
        if deployment in self._streak:
            del self._streak[deployment]
            self._failing.pop(deployment, None)
