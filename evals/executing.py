"""Carries a run from wherever it stands to its end: every question without a result is asked, each result is kept, the
figures of its trace are taken over, then the answers are scored. Run by a worker (``tasks.py``) or by a command, one of
them at a time.

A candidate whose baseline nobody has asked yet is carried together with it: both ask the same prompts at the same time,
so whatever else makes answers slow meanwhile meets both alike."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, connections
from django_tenants.utils import tenant_context

from evals import runs
from evals.asking import Asker
from evals.keys import close_door, key_of, open_door
from evals.models import Run
from evals.questions import Answer, Question
from evals.scoring import score_run
from tenants.models import Tenant

T = TypeVar("T")
AT_ONCE = 100  # questions read together
BEAT_S = 0.5
TRACES_S = 30.0  # the trace writer may be behind by so much
ARRIVAL_S = 20.0
CACHE_HEADER = {Run.Cache.OFF: "no-store", Run.Cache.OWN: "private"}
log = logging.getLogger("relay.evals")


class Stopped(Exception):
    """The run was cancelled, or another worker has taken it over."""


class Unreachable(Exception):
    """Relay could not be asked; the message says why."""


def execute(tenant: Tenant, run_id: int, *, url: str = "", patience_s: float = ARRIVAL_S) -> bool:
    """False: another worker has it, or it is over. ``patience_s``: how long Relay may take to answer at all."""
    worker = str(uuid4())
    with tenant_context(tenant):
        run = runs.claim(run_id, worker)
        baseline = runs.claim(run.baseline_id, worker) if run and run.baseline_id else None
    if run is None:
        return False
    mine = [Carrying(tenant, one, worker, patience_s) for one in (baseline, run) if one is not None]
    asyncio.run(_together(mine, url or settings.RELAY_EVAL_URL))
    return True


async def _together(carryings: "Sequence[Carrying]", url: str) -> None:
    await asyncio.gather(*(_carried(one, url) for one in carryings))


async def _carried(carrying: "Carrying", url: str) -> None:
    error = ""
    try:
        await carrying.through(url)
        await carrying.within(runs.finish, carrying.run.pk, carrying.worker)
    except Stopped:
        pass
    except DatabaseError:
        log.exception("an eval run is left to the next worker: the database failed")
    except (Unreachable, ObjectDoesNotExist) as known:
        error = str(known)
    except Exception as unknown:
        log.exception("an eval run failed")
        error = f"Relay made a mistake ({type(unknown).__name__}); its log says more."
    if error:
        await carrying.within(runs.finish, carrying.run.pk, carrying.worker, error)
    await _leave(carrying)


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _leave(carrying: "Carrying") -> None:
    """The key dies with the run; after a takeover it is the next worker's."""
    try:
        still = await carrying.within(lambda: Run.objects.get(pk=carrying.run.pk))
        if still.state not in runs.OPEN:
            await carrying.within(close_door, key_of(carrying.tenant, carrying.run).key_id)
    except DatabaseError:
        log.exception("the key of an eval run was not revoked; it expires")
    finally:
        await sync_to_async(connections.close_all)()


class Carrying:
    """A run in the hands of one worker."""

    def __init__(self, tenant: Tenant, run: Run, worker: str, patience_s: float) -> None:
        self.tenant, self.run, self.worker, self._patience_s = tenant, run, worker, patience_s
        self._open: deque[tuple[int, int]] = deque()
        self._next: deque[Question] = deque()
        self._reading = asyncio.Lock()
        self._fresh: list[tuple[Question, Answer]] = []

    async def within(self, act: Callable[..., T], *arguments: Any) -> T:
        """In the tenant's schema, on the thread that has this run's connection."""

        def there() -> T:
            with tenant_context(self.tenant):
                return act(*arguments)

        return await sync_to_async(there)()

    async def through(self, url: str) -> None:
        """Raises Stopped, Unreachable, ObjectDoesNotExist."""
        key = await self.within(open_door, self.tenant, self.run)
        asker = Asker(
            url=url,
            key=key,
            model=self.run.route,
            about=f"eval/{self.run.pk}/{int(self.run.created_at.timestamp())}",
            headers={
                "x-relay-policy": f"{self.run.policy}@{self.run.policy_version}",
                "x-relay-cache": CACHE_HEADER[Run.Cache(self.run.cache)],
            },
        )
        try:
            await self._beating(self._arrive(url, key))
            while pairs := await self.within(runs.pending, self.run):
                self._open.extend(pairs)
                await self._beating(*(self._work(asker) for _ in range(self.run.concurrency)))
            await self._beating(self._take_from_traces())
            await self._beating(self._after_baseline(url))
            await self._beating(score_run(self.tenant, self.run, key=key, url=url))
        finally:
            await asker.close()

    async def _beating(self, *work: Any) -> None:
        """Does the work, and says twice a second that this worker lives; raises Stopped where it has nothing to do
        with the run any more."""
        done = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._beat(done))
                await asyncio.gather(*(group.create_task(one) for one in work))
                done.set()  # not a cancellation: what is being kept is kept
        except BaseExceptionGroup as failed:
            raise _first(failed) from failed
        await self._keep()

    async def _beat(self, done: asyncio.Event) -> None:
        while not done.is_set():
            await self._keep()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), BEAT_S)

    async def _keep(self) -> None:
        fresh, self._fresh = self._fresh, []
        if fresh:
            await self.within(runs.keep, self.run, fresh)
            await self.within(runs.take_from_traces, self.run)
        if not await self.within(runs.beat, self.run.pk, self.worker):
            raise Stopped

    async def _arrive(self, url: str, key: str) -> None:
        """Until Relay knows the run's key, as far as can be told: a redirect to HTTPS, which the API's own endpoints
        do not give, comes ahead of the key. Raises Unreachable."""
        why = ""
        async with httpx.AsyncClient(timeout=5) as client:
            for _ in range(max(1, int(self._patience_s / 0.2))):
                try:
                    reply = await client.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"})
                    if reply.status_code < 400:
                        return
                    why = f"it answers {reply.status_code}"
                except (httpx.UnsupportedProtocol, httpx.InvalidURL):
                    why = "that is no address"
                    break
                except httpx.HTTPError as error:
                    why = type(error).__name__
                await asyncio.sleep(0.2)
        raise Unreachable(f"Relay could not be asked at {url} ({why}). RELAY_EVAL_URL says where its API is.")

    async def _work(self, asker: Asker) -> None:
        while (question := await self._question()) is not None:
            self._fresh.append((question, await asker.ask(question)))

    async def _question(self) -> Question | None:
        async with self._reading:
            if not self._next and self._open:
                pairs = [self._open.popleft() for _ in range(min(AT_ONCE, len(self._open)))]
                found = await self.within(runs.bodies, [item for item, _ in pairs])
                self._next.extend(Question(item, repetition, found[item]) for item, repetition in pairs)
            return self._next.popleft() if self._next else None

    async def _after_baseline(self, url: str) -> None:
        """Scorers compare with its answers. Should its worker have died, this one carries it: there may be no other."""
        while self.run.baseline_id and await self.within(runs.is_open, self.run.baseline_id):
            baseline = await self.within(runs.claim, self.run.baseline_id, self.worker)
            if baseline is not None:
                await _carried(Carrying(self.tenant, baseline, self.worker, self._patience_s), url)
            else:
                await asyncio.sleep(BEAT_S)

    async def _take_from_traces(self) -> None:
        """Results whose trace does not come keep what the client saw."""
        for _ in range(int(TRACES_S / BEAT_S)):
            if not await self.within(runs.take_from_traces, self.run):
                return
            await asyncio.sleep(BEAT_S)
