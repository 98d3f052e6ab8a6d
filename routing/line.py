"""Who is asked next: candidates in order, as long as their breakers, rests, limits and the retry budget allow it."""

from collections import deque

from routing.core.plan import Candidate
from routing.core.retry_budget import Budget, counted, granted, spend
from routing.errors import ProvidersResting
from routing.exchange import Exchange
from routing.reserve import exhausted, reserve
from routing.runtime import Runtime


class PassedOver(Exception):
    """While the request waited for a slot its candidate became one that may not be asked."""


class Line:
    """Of one request. First those that nothing speaks against; after them those that were passed over get another
    look, as the request now has nobody else: a probe of theirs is due sooner."""

    def __init__(self, runtime: Runtime, exchange: Exchange) -> None:
        self._runtime, self._exchange = runtime, exchange
        self._left = deque(exchange.the_plan.attempts)
        self._passed_over: deque[Candidate] = deque()
        self._alone = False
        runtime.traffic = counted(runtime.traffic, runtime.clock())

    async def next(self) -> Candidate | None:
        """None: nobody is left who may be asked."""
        while self._left or (self._passed_over and not self._alone):
            if not self._left:
                self._left, self._passed_over, self._alone = self._passed_over, deque(), True
            candidate = self._left.popleft()
            why = self._why_not(candidate, alone=self._is_last)
            if why:
                self._pass_over(candidate, why)
            elif await reserve(self._runtime, self._exchange, candidate):
                return candidate
        return None

    async def rival(self) -> Candidate | None:
        """Who may be asked as well, while another still may answer: nobody is probed early for that."""
        while self._left:
            candidate = self._left.popleft()
            why = self._why_not(candidate, alone=False)
            if why:
                self._pass_over(candidate, why)
            elif await reserve(self._runtime, self._exchange, candidate):
                return candidate
        return None

    def go(self, candidate: Candidate, *, waited: bool) -> None:
        """Its slot is there: now it is asked. Raises PassedOver."""
        runtime = self._runtime
        why = self._why_not(candidate, alone=self._is_last) if waited else ""
        if why:
            self._pass_over(candidate, why)
            raise PassedOver(why)
        state = runtime.health.asked(candidate.circuit, runtime.now())
        if state != "closed":
            self._exchange.probes(candidate.deployment, state)

    def may_retry(self) -> bool:
        """Whether a second call may be made. Who could not be reached was not called."""
        runtime = self._runtime
        runtime.retries, allowed = spend(runtime.retries, runtime.traffic, runtime.clock())
        if not allowed:
            why = f"Second calls are limited to {self._limit(runtime.retries)}: nobody else is asked."
            self._exchange.draft.step("retry budget", "", "spent", why)
        return allowed

    def may_hedge(self, slow: Candidate, after_s: float) -> bool:
        runtime = self._runtime
        runtime.hedges, allowed = spend(runtime.hedges, runtime.traffic, runtime.clock())
        why = f"It gave no content for {after_s * 1000:.0f} ms"
        why += "." if allowed else f", but hedges are limited to {self._limit(runtime.hedges)}."
        self._exchange.draft.step("hedge", slow.deployment, "slow" if allowed else "budget spent", why)
        return allowed

    def _limit(self, budget: Budget) -> str:
        number = granted(budget, self._runtime.traffic, self._runtime.clock())
        return f"{budget.share:.0%} of the requests of the last 10 to 20 s and {budget.floor} more ({number} now)"

    def nobody(self) -> Exception:
        """Why nobody was asked: all have spent their limits, or the first of the others may be asked soon."""
        exchange = self._exchange
        names = [one.circuit for one in exchange.the_plan.attempts if one.deployment not in exchange.exhausted]
        spent = exhausted(exchange)
        if spent is not None and (exchange.uncounted or not names):
            return spent
        return ProvidersResting(self._runtime.health.retry_after_s(names, self._runtime.now()))

    @property
    def _is_last(self) -> bool:
        """Whether after the candidate in hand there is nobody else."""
        return self._alone or not (self._left or self._passed_over)

    def _why_not(self, candidate: Candidate, *, alone: bool) -> str:
        return self._runtime.health.why_not(candidate.circuit, self._runtime.now(), alone=alone)

    def _pass_over(self, candidate: Candidate, why: str) -> None:
        self._passed_over.append(candidate)
        self._exchange.draft.step("breaker", candidate.deployment, "passed over", why)
