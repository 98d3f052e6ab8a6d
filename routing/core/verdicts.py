"""What becomes of each candidate of a plan, and why."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from routing.core.candidate import Candidate, cost_microusd
from routing.core.reason import Reason
from routing.core.request import InvalidRequest
from routing.core.scoring import Facts, Points, Wanted
from routing.core.strategies import Circumstances, Order, Ranked, known_of, order, resting


class Verdict(NamedTuple):
    """One candidate: ``first``, ``next`` (after those before it fail) or ``ruled out``.

    ``within_limits`` is the seventh factor: False for what is tried last for now. ``facts`` and ``points`` are there
    where the strategy scores.
    """

    candidate: Candidate
    position: int
    verdict: str
    why: str
    est_cost_microusd: int
    p95_ms: float | None
    within_limits: bool = True
    facts: Facts | None = None
    points: Points | None = None

    def as_json(self) -> dict[str, Any]:
        told = {
            "deployment": self.candidate.deployment,
            "provider": self.candidate.provider,
            "model": self.candidate.model,
            "position": self.position,
            "verdict": self.verdict,
            "why": self.why,
            "est_cost_microusd": self.est_cost_microusd,
            "p95_ms": self.p95_ms,
        }
        if self.points is not None and self.facts is not None:
            told["factors"] = dict(zip(Points._fields, map(_hundredths, self.points), strict=True))
            told["within_limits"] = self.within_limits
            told["facts"] = self.facts._asdict()
        return told


def _hundredths(points: float) -> float:
    """A third of the time of ``round``."""
    return (points * 100 + 0.5) // 1 / 100


def judge(
    candidates: Sequence[Candidate], given: Circumstances, now: float, reasons: list[Reason]
) -> tuple[tuple[Verdict, ...], str]:
    """Usable ones first in the strategy's order, resting ones behind them, the ruled out last; and the drawn arm.

    Raises InvalidRequest if the request fits the context of none.
    """
    alive, out = [], []
    for item in candidates:
        why = _ruled_out(item, given.wanted)
        if why:
            out.append((item, why))
        else:
            alive.append(item)
    if out and not alive:
        _check_context(candidates, given.wanted)
    chosen = order(alive, given)
    if chosen.why:
        reasons.append(_drawn(given, chosen))
    rests = [resting(one.known, now) for one in chosen.ranked]
    usable = [(one, "") for one, rest in zip(chosen.ranked, rests, strict=True) if not rest]
    behind = [(one, rest) for one, rest in zip(chosen.ranked, rests, strict=True) if rest]
    verdicts = [_placed(one, rest, place, given) for place, (one, rest) in enumerate(usable + behind, 1)]
    for item, why in out:
        verdicts.append(Verdict(item, 0, "ruled out", why, _est_cost(item, given.wanted), known_of(item, given).p95_ms))
    return tuple(verdicts), chosen.arm


def _drawn(given: Circumstances, chosen: Order) -> Reason:
    if given.split is None:
        return Reason("strategy", given.settings.strategy, chosen.arm or "no arm", chosen.why)
    return Reason("split", given.split.arm, "chosen" if chosen.arm else "passed over", chosen.why)


def _placed(one: Ranked, rest: str, position: int, given: Circumstances) -> Verdict:
    first = position == 1
    why = rest or one.said or ("First in order that can serve it." if first else "Tried if those before it fail.")
    cost = _est_cost(one.candidate, given.wanted)
    verdict = "first" if first else "next"
    return Verdict(one.candidate, position, verdict, why, cost, one.known.p95_ms, not rest, one.facts, one.points)


def _est_cost(candidate: Candidate, wanted: Wanted) -> int:
    return cost_microusd(candidate, wanted.tokens_in, wanted.tokens_out)


def _ruled_out(candidate: Candidate, wanted: Wanted) -> str:
    if candidate.unavailable:
        return candidate.unavailable
    if wanted.tokens_in + 1 > candidate.context_window:
        needed = wanted.tokens_in + wanted.tokens_out
        return f"Its context of {candidate.context_window:,} tokens is too small for about {needed:,}."
    return ""


def _check_context(candidates: Sequence[Candidate], wanted: Wanted) -> None:
    """Nobody can answer; where no context is large enough, of those that are switched off neither, the client can mend
    it."""
    largest = max(item.context_window for item in candidates)
    if wanted.tokens_in + 1 > largest and not all(item.unavailable for item in candidates):
        raise InvalidRequest(
            f"About {wanted.tokens_in:,} input tokens and up to {wanted.tokens_out:,} output tokens do not fit the"
            f" model's context of {largest:,} tokens.",
            "messages",
            "context_length_exceeded",
        )
