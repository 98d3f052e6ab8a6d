"""How the worker divides the slots of a pool over live processes."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """What one process uses of some slots (of the pool, or of what one lane may fill)."""

    held: int
    """The most it may be filling: running requests or permits, whatever was told and not yet confirmed as lowered."""
    running: int
    granted: int = 0
    """Slots given to single tickets that its report does not show as running yet; they come on top."""
    waits: bool = False


def own_share(capacity: int, processes: int) -> int:
    """What a process uses that has not heard from a worker."""
    return max(1, capacity // max(1, processes))


def divide(slots: int, claims: Mapping[str, Claim]) -> dict[str, int]:
    """Permits to tell each process; never more in sum than ``slots`` minus what others may still hold.

    Nobody waits: each keeps what it runs and gets an even part of the rest. One process waits: it gets all the rest,
    and decides alone. Several wait: no standing permits at all, so that each freed slot goes to the fair order.
    """
    wanted = _wanted(slots, claims)
    free = slots - sum(claim.held + claim.granted for claim in claims.values())
    told = {}
    for process, claim in sorted(claims.items()):
        raised = max(0, min(wanted[process] - claim.held, free))
        free -= raised
        told[process] = min(wanted[process], claim.held + raised)
    return told


def _wanted(slots: int, claims: Mapping[str, Claim]) -> dict[str, int]:
    spare = slots - sum(claim.running + claim.granted for claim in claims.values())
    waiting = [process for process, claim in claims.items() if claim.waits]
    if len(waiting) > 1 or spare < 0:
        return dict.fromkeys(claims, 0)
    if waiting:
        only = waiting[0]
        return {process: claim.running + spare if process == only else 0 for process, claim in claims.items()}
    part, extra = divmod(spare, len(claims))
    return {
        process: claim.running + part + (1 if place < extra else 0)
        for place, (process, claim) in enumerate(sorted(claims.items()))
    }
