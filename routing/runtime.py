"""What a web process holds while it runs: one a thread's event loop, made by the ASGI lifespan or the first request."""

import asyncio
import gc
import logging
import os
import secrets
import threading
import time
from collections.abc import Coroutine
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg
import psycopg_pool
import redis
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.conf import settings
from django.db import connection, transaction

from caching.exact import Stored, put_command
from caching.semantic import SemanticCache, semantic_pool
from routing import contexts
from routing import snapshot as snapshots
from routing.candidates import limits_of_all
from routing.core.request import ChatRequest
from routing.core.retry_budget import HEDGES, RETRIES, Traffic
from routing.errors import ErrorReply
from routing.evidence import EvidenceBoard
from routing.exchange import Exchange
from routing.gauges import publish_forever
from routing.keeping import keep_forever
from routing.kinds import KINDS
from routing.metrics import count
from routing.presence import Presence
from routing.providers import adapters
from routing.providers.outlet import Outlet
from routing.shadows.copies import Copies
from scheduling.client import LaneClient
from scheduling.link import ChannelLayer
from tenants.auth import Caller, Door
from tenants.holds import Account, Settlement
from tenants.ledger import Ledger
from tenants.live import listen
from tenants.redis import Command, RedisAway, Trips, replied
from traces.core.ids import uuid7
from traces.core.trace_context import Sampler, is_sampled
from traces.draft import TraceDraft
from traces.rebuild import rebuild
from traces.recent import Recent
from traces.recorder import Recorder, dump
from traces.spool import Spool, SpoolFull

log = logging.getLogger("relay.runtime")
DRAIN_S = 5.0
SERVICES_S = 2.0
TIMEOUTS: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 1}


class Runtime:
    def __init__(self, redis_url: str = "", layer: ChannelLayer | None = None, spool_dir: Path | None = None) -> None:
        """``layer`` must be its own: a channel layer serves one event loop. What dead processes left in ``spool_dir``
        is sent to ``redis_url``."""
        redis_url = redis_url or settings.REDIS_URL
        self.snapshot = snapshots.Snapshot()
        self.loaded = asyncio.Event()
        self.door = Door(settings.RELAY_KEY_PEPPER, settings.RELAY_DEV_OPEN_TENANT)
        self.queue_timeout_s = float(settings.RELAY_QUEUE_TIMEOUT_S)
        self.environment = settings.RELAY_ENV
        self.sampler: Sampler | None = settings.RELAY_OTEL_SAMPLER
        self.health = EvidenceBoard()
        self.traffic, self.retries, self.hedges = Traffic(), RETRIES, HEDGES
        self.redis = Trips(redis_url)
        spool = Spool(spool_dir or Path(settings.RELAY_SPOOL_DIR), settings.RELAY_SPOOL_MAX_MB * 1024 * 1024)
        self.recent = Recent()
        rebuild = partial(sync_to_async(_rebuild_counters, thread_sensitive=False), redis_url)
        self.ledger = Ledger(self.redis, rebuild, self.recent.commands)
        self.recorder = Recorder(self.redis, self.ledger, spool)
        self._pool = semantic_pool(settings.DATABASE_URL)
        self.semantic_wait_s = settings.RELAY_SEMANTIC_WAIT_MS / 1000
        self.semantic = SemanticCache(self._pool)
        layer = layer or channel_layers.make_backend("default")
        self.lanes = LaneClient(layer, lanes=lambda: self.snapshot.lanes, processes=settings.RELAY_WEB_PROCESSES)
        self.copies = Copies(self._pool, self.redis.client, self.now)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._services: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._outlet = Outlet()
        self.adapters = adapters(self._outlet)
        await self._pool.open()
        await self.lanes.start()
        presence = Presence(self.ledger.process, self.health, self.lanes, self.now())
        self._services = [
            asyncio.create_task(listen(settings.DATABASE_URL, self._reload)),
            asyncio.create_task(self.recorder.drain_forever()),
            asyncio.create_task(self.health.share_forever(self.redis.client, self.now)),
            asyncio.create_task(keep_forever(self.ledger, lambda: self.snapshot, self.health, self.now)),
            asyncio.create_task(publish_forever(self.health.current, self.lanes.snapshot)),
            asyncio.create_task(presence.say_forever(self.redis.client)),
            asyncio.create_task(self.copies.count_forever()),
            asyncio.create_task(contexts.keep_forever(lambda: self.snapshot)),
        ]

    async def stop(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_S)
        await self.copies.stop(DRAIN_S)
        for service in self._services:
            service.cancel()
        await asyncio.wait(self._services, timeout=SERVICES_S)
        await self.lanes.stop()
        await self._outlet.aclose()
        await self._pool.close()
        await self.health.share(self.redis.client, self.now())  # what this process saw outlives it
        with suppress(RedisAway):
            await self.ledger.leave()
        await self.redis.close()

    async def _reload(self) -> bool:
        try:
            self.snapshot = await sync_to_async(_load_snapshot, thread_sensitive=False)()
        except Exception:  # a row that cannot be read must not take away the configuration that works
            log.exception("configuration: not loaded, the last one stays in use")
            return False
        self.loaded.set()
        return True

    @staticmethod
    def clock() -> float:
        return time.monotonic()

    def now(self) -> float:
        return time.time()

    def background(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Runs on after the request; its failure is logged, and a stop waits for it."""
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- an exchange's beginning and end -------------------------------------------------------------------------

    def begin(self, caller: Caller, request: ChatRequest) -> Exchange:
        now = round(self.now(), 6)  # as PostgreSQL keeps it: it decides the windows that this request counts in
        trace_id, parent = uuid7(now, secrets.token_bytes(10)), request.parent
        draft = TraceDraft(
            id=trace_id,
            tenant=caller.tenant,
            schema=caller.schema,
            started_at=now,
            started_monotonic=self.clock(),
            keep_content=caller.keep_content,
            request_id=request.request_id,
            traceparent=parent.header if parent else "",
            sampled=self.sampler is not None and is_sampled(self.sampler, parent, trace_id),
            api_key=caller.key_name,
            key_id=caller.key_id,
            route=request.model[:200],
            stream=request.stream,
            request_json=request.asked or request.body or None,
            prompt_line=KINDS[request.kind].line(request.body) if caller.keep_content else "",
            endpoint=request.kind,
        )
        return Exchange(caller, request, draft, Account(draft.id, now), exports=self.sampler is not None)

    async def finish(self, exchange: Exchange, raw: bytes | None = None, reused: Stored | None = None) -> None:
        """Settle, record and store in one round trip; without Redis the trace goes to the spool. ``raw``: the answer's
        bytes if they are at hand; ``reused``: an earlier answer that was given again. Raises SpoolFull if it can be
        written nowhere."""
        exchange.finished = True
        draft, account = exchange.draft, exchange.account
        draft.charged_requests, draft.charged_tokens = account.caller.requests, account.caller.tokens
        record = draft.record(now=self.clock())
        count(exchange.route, draft, record)
        trace, settlement = dump(record), account.settlement(self.ledger.process)
        commands = [self.recorder.command(trace, settlement)]
        stored = exchange.to_store(raw or orjson.dumps(exchange.storable), self.now()) if exchange.storable else None
        if exchange.claim is not None:
            commands.append(exchange.claim.end(stored or reused))
        if exchange.renewal is not None:
            exchange.renewal.cancel()
        if stored is not None and not exchange.may_be_cached:
            stored = None
        if stored is not None and exchange.exact_key:
            commands += [put] if (put := put_command(exchange.exact_key, stored, exchange.the_plan.cache.ttl_s)) else []
        if settlement is not None:
            self.ledger.settling(settlement)
        try:
            await self._deliver(draft.id, commands, trace, settlement)
        except asyncio.CancelledError:  # nobody knows whether it was sent, and sending it again does no harm
            self.background(self._deliver(draft.id, commands, trace, settlement))
            raise
        if stored is not None and exchange.question is not None:
            self.background(self._store_semantic(exchange, stored.answer))

    async def _deliver(
        self, trace_id: str, commands: list[Command], trace: bytes, settlement: Settlement | None
    ) -> None:
        try:
            replied((await self.redis.run(commands))[0])
            self.recent.keep(trace_id, trace, self.clock())
        except RedisAway:
            if settlement is not None:
                self.ledger.settling(settlement, 1)
            try:
                self.recorder.spooled(trace, settlement)
            except SpoolFull:
                if settlement is not None:
                    self.ledger.forget(settlement)
                raise

    async def refuse(self, exchange: Exchange, reply: ErrorReply) -> None:
        """The trace of a request that was not answered. Its own failure must not hide the reason of the refusal."""
        if exchange.finished:
            return
        exchange.refused(reply)
        if reply.status >= 500:
            log.warning("request failed", extra={**exchange.named, "status": reply.status, "code": reply.code})
        try:
            await self.finish(exchange)
        except Exception:
            log.exception("a refusal could not be recorded", extra=exchange.named)

    def abandon(self, exchange: Exchange) -> None:
        """The client went away: what was used is settled and recorded behind its back."""
        if not exchange.finished:
            exchange.left_by_client()
            exchange.finished = True
            self.background(self.finish(exchange))

    async def _store_semantic(self, exchange: Exchange, answer: bytes) -> None:
        question, draft = exchange.question, exchange.draft
        assert question is not None
        await self.semantic.store(
            schema=exchange.caller.schema,
            scope=question.scope,
            text=question.text,
            vector=question.vector,
            answer=answer,
            source_trace=UUID(draft.id),
            policy=draft.policy,
            policy_version=draft.policy_version,
            deployment=draft.deployment,
            model=draft.model,
            now=self.now(),
            ttl_s=exchange.the_plan.cache.ttl_s,
        )


def _rebuild_counters(redis_url: str) -> bool:
    with closing(connection), redis.Redis.from_url(redis_url, **TIMEOUTS) as client:
        return rebuild(client, list(limits_of_all()))


def _load_snapshot() -> snapshots.Snapshot:
    try:
        with transaction.atomic(), connection.cursor() as cursor:  # all rows as of one moment
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            loaded = snapshots.load()
        contexts.keep(loaded.contexts)
        return loaded
    finally:
        connection.close()  # the worker thread is shared: no connection may outlive its use there


async def _logged(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
        log.warning("background work left undone: PostgreSQL is away (%s)", type(error).__name__)
    except Exception:
        log.exception("background work failed")


_local = threading.local()
START_S = 10.0
# Cycles are rare here: looking for them every 700 objects, as is usual, takes 5 % of a request's CPU.
GC_THRESHOLDS = (5_000, 10, 10)


async def current() -> Runtime:
    """The runtime of this event loop, started and with its configuration loaded (or as soon as PostgreSQL answers)."""
    loop = asyncio.get_running_loop()
    if getattr(_local, "loop", None) is not loop:
        _local.loop = loop
        _local.starting = asyncio.ensure_future(_start())
    runtime: Runtime = await asyncio.shield(_local.starting)
    return runtime


async def _start() -> Runtime:
    runtime = Runtime()
    await runtime.start()
    try:
        async with asyncio.timeout(START_S):
            await runtime.loaded.wait()
    except TimeoutError:
        log.warning("configuration: PostgreSQL does not answer yet")
    gc.collect()
    gc.freeze()  # what is loaded stays: looking through all of it again and again would stop requests for 50 ms
    gc.set_threshold(*GC_THRESHOLDS)
    log.info("web process ready", extra={"pid": os.getpid()})
    return runtime


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI lifespan; servers without one (daphne) get the runtime with the first request."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await current()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await (await current()).stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
