"""What recent attempts say of each deployment: who may be asked now, and the values that a request is planned on.

Breakers and rests are each process's own; outcomes are shared (``routing/outcomes.py``). Every ``now`` is epoch
seconds. What is known of a deployment is read in every tenant's traces, so no provider's words are kept here, only the
codes of its failures.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from redis.asyncio import Redis
from redis.exceptions import RedisError

from routing.core import outcomes as core
from routing.core.breaker import (
    HEALTHY,
    NOTHING_RECENT,
    Breaker,
    Failure,
    Recent,
    State,
    answered,
    asked,
    began,
    counted,
    failed,
    may_ask,
)
from routing.core.evidence import NOTHING_KNOWN, Evidence
from routing.core.rest import Rest, rested
from routing.outcomes import Outcomes

log = logging.getLogger("relay.evidence")
EVERY_S = 1.0
QUOTA_STEP = 0.01  # a smaller change of what is left changes no plan
NO_REST = Rest()


@dataclass(frozen=True, slots=True)
class Quota:
    left: float
    why: str
    exhausted_until: float


class EvidenceBoard:
    """One in each process. ``current`` is looked up by every plan, so it is made anew only once a second and when a
    deployment may be asked no longer, or again."""

    def __init__(self) -> None:
        self._breakers: dict[str, Breaker] = {}
        self._recent: dict[str, Recent] = {}
        self._rests: dict[str, Rest] = {}
        self._quotas: dict[str, Quota] = {}
        self._outcomes = Outcomes()
        self._current: dict[str, Evidence] = {}
        self._refreshed_at = 0.0

    def current(self) -> Mapping[str, Evidence]:
        return self._current

    # --- before an attempt ---------------------------------------------------------------------------------------

    def why_not(self, deployment: str, now: float, *, alone: bool) -> str:
        """Why it may not be asked now; empty if it may. ``alone``: the request has nobody else to ask."""
        rest = self._rests.get(deployment, NO_REST)
        if rest.until > now:
            return f"Its provider limits the rate; it rests for {rest.until - now:.0f} s more."
        breaker = self._breakers.get(deployment, HEALTHY)
        if may_ask(breaker, now, alone=alone):
            return ""
        wait = (breaker.last_resort_at if alone else breaker.pause_ends) - now
        return f"Its breaker is {breaker.state.replace('_', '-')} ({breaker.why}); not asked for {wait:.1f} s more."

    def asked(self, deployment: str, now: float) -> State:
        """A request goes there; half_open: it is the probe."""
        before = self._breakers.get(deployment, HEALTHY)
        if before.state != "closed":
            self._breakers[deployment] = asked(before, now)
            self._changed(deployment, now)
            return "half_open"
        return "closed"

    def retry_after_s(self, deployments: Iterable[str], now: float) -> float:
        """When the first of them may be asked again by a request that has nobody else."""
        moments = [
            max(self._rests.get(name, NO_REST).until, self._breakers.get(name, HEALTHY).last_resort_at)
            for name in deployments
        ]
        return float(max(1, math.ceil(min(moments, default=now) - now)))

    # --- how it went ---------------------------------------------------------------------------------------------

    def began(self, deployment: str, now: float) -> None:
        """The first content came."""
        self._becomes(deployment, began(self._breakers.get(deployment, HEALTHY)), now)

    def answered(self, deployment: str, latency_ms: float, now: float) -> None:
        """The whole answer came, this long after the attempt began."""
        self._outcomes.add(deployment, core.bucket(latency_ms), now)
        self._recent[deployment] = counted(self._recent.get(deployment, NOTHING_RECENT), now, failure=False)
        if deployment in self._rests and self._rests[deployment].until <= now:
            del self._rests[deployment]
        self._becomes(deployment, answered(self._breakers.get(deployment, HEALTHY)), now)

    def failed(self, deployment: str, failure: Failure, now: float) -> None:
        """It was not reached, was too slow, answered 5xx or garbage, or its stream broke."""
        self._outcomes.add(deployment, core.FAILED, now)
        recent = counted(self._recent.get(deployment, NOTHING_RECENT), now, failure=True)
        self._recent[deployment] = recent
        self._becomes(deployment, failed(self._breakers.get(deployment, HEALTHY), failure, recent, now), now)

    def limited(self, deployment: str, told_s: float | None, now: float) -> None:
        """It answered 429: no failure, but it is to be left alone."""
        self._rests[deployment] = rested(self._rests.get(deployment, NO_REST), told_s, now)
        self._changed(deployment, now)

    def quota(self, deployment: str, left: float, why: str, exhausted_until: float) -> None:
        """What is left of its tightest limit, 0 to 1."""
        known = self._quotas.get(deployment)
        if known and abs(known.left - left) < QUOTA_STEP and known.exhausted_until == exhausted_until:
            return
        self._quotas[deployment] = Quota(float(left), why, exhausted_until)
        self._changed(deployment, self._refreshed_at)

    # --- values for the planner ----------------------------------------------------------------------------------

    def refresh(self, now: float) -> None:
        self._refreshed_at = now
        sums = self._outcomes.sums(now)
        names = sums.keys() | self._breakers.keys() | self._rests.keys() | self._quotas.keys()
        self._current = {name: self._evidence(name, _of(sums.get(name)), now) for name in names}

    async def share(self, redis: Redis, now: float) -> None:
        """Without Redis a process goes on with its own."""
        with suppress(RedisError, OSError):
            await self._outcomes.share(redis, now)
        self.refresh(now)

    async def share_forever(self, redis: Redis, now: Callable[[], float]) -> None:
        """Run beside the web server, once a process."""
        while True:
            try:
                await self.share(redis, now())
            except Exception:
                log.exception("evidence: not refreshed")
            await asyncio.sleep(EVERY_S)

    def _becomes(self, deployment: str, breaker: Breaker, now: float) -> None:
        before = self._breakers.get(deployment, HEALTHY)
        if breaker is before:
            return
        self._breakers[deployment] = breaker
        if breaker.state == "closed" and before.state != "closed":
            self._recent.pop(deployment, None)  # what closed it says more than what came before
        if before.state != breaker.state or before.pause_ends != breaker.pause_ends:
            self._changed(deployment, now)

    def _changed(self, deployment: str, now: float) -> None:
        self._current[deployment] = self._evidence(deployment, self._current.get(deployment, NOTHING_KNOWN), now)

    def _evidence(self, deployment: str, figures: Evidence, now: float) -> Evidence:
        breaker = self._breakers.get(deployment, HEALTHY)
        rest, quota = self._rests.get(deployment, NO_REST), self._quotas.get(deployment)
        holds = [(0.0, "")]
        if breaker.state != "closed":
            holds.append((breaker.pause_ends, f"Failed lately ({breaker.why})"))
        if rest.until:
            holds.append((rest.until, "Its provider limits the rate"))
        if quota:
            holds.append((quota.exhausted_until, quota.why.rstrip(".")))
        retry_at, why = max(holds)
        ready = breaker.state == "open" and now >= breaker.pause_ends
        return replace(
            figures,
            breaker="half_open" if ready else breaker.state,  # the next request probes
            retry_at=retry_at,
            why=why,
            quota_left=quota.left if quota else None,
            quota_why=quota.why if quota else "",
            limited_until=max(rest.until, quota.exhausted_until if quota else 0.0),
        )


def _of(sums: core.Sums | None) -> Evidence:
    if sums is None:
        return NOTHING_KNOWN
    return Evidence(
        samples=sums.windows[0][0], error_rate=core.error_rate(sums), p95_ms=core.p95_ms(sums), burn=core.burn(sums)
    )
