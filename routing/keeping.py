"""What a web process does for the ledger beside its requests: it says that it lives, notices when counters are lost,
and tells the planner what is left of deployments' limits."""

import asyncio
import logging
from collections.abc import Callable

from routing.evidence import EvidenceBoard
from routing.snapshot import Snapshot
from tenants.core.limits import counter_of
from tenants.core.spend import Left, left_of
from tenants.ledger import Ledger
from tenants.redis import RedisAway

TICK_S = 0.25  # well below the grace of a rebuild (traces/rebuild.py), within which every process must have noticed it
LOOK_EVERY, BEAT_EVERY = 4, 20  # ticks
log = logging.getLogger("relay.keeping")


async def keep_forever(
    ledger: Ledger, snapshot: Callable[[], Snapshot], board: EvidenceBoard, now: Callable[[], float]
) -> None:
    """Run once in each web process; ends only when cancelled."""
    tick = 0
    while True:
        try:
            if tick % BEAT_EVERY == 0:
                await ledger.beat()
            if snapshot().limited:
                await _look(ledger, snapshot() if tick % LOOK_EVERY == 0 else Snapshot(), board, now())
        except RedisAway:
            pass  # requests notice it themselves
        except Exception:
            log.exception("the ledger could not be looked after")
        tick += 1
        await asyncio.sleep(TICK_S)


async def _look(ledger: Ledger, snapshot: Snapshot, board: EvidenceBoard, now: float) -> None:
    counters = {name: [counter_of(limit, now) for limit in limits] for name, limits in snapshot.limits.items()}
    used = await ledger.watch([one for found in counters.values() for one in found])
    if used is None:
        return
    steps = iter(used)
    for found in counters.values():
        tell(board, tuple(left_of(one.limit, next(steps), max(1, int(one.end - now) + 1)) for one in found), now)


def tell(board: EvidenceBoard, left: tuple[Left, ...], now: float) -> Left:
    """The planner hears of the tightest limit of a deployment: a share, since all tenants see why a plan was made, and
    the count is of all of them together. What a minute still allows is a rate, not a quota: it is over or it is not."""
    tightest = min(left, key=lambda item: item.share)
    until = 0.0 if tightest.share else now + tightest.resets_in_s
    shown = min((item for item in left if item.limit.window != "minute"), key=lambda item: item.share, default=tightest)
    share = 1.0 if shown.limit.window == "minute" else shown.share
    said = tightest if until else shown
    why = f"{said.share:.0%} of {said.limit.limit:,} {said.limit.words} left"
    board.quota(said.limit.deployment, share, why, until)
    return tightest
