"""A Relay for one scenario: the seeded catalogue as values, mock providers behind it, a clock that is set by hand.

Nothing of it is configuration or lasts: it runs on an empty logical database of Redis, which is emptied afterwards, and
with an empty spool, so no quota, trace or cache of anybody is touched.
"""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import redis
import redis.asyncio
from channels.layers import InMemoryChannelLayer
from django.conf import settings

from relay_project.routing_demo.scenarios import AUTO, Scenario
from routing.catalogue import DEPLOYMENTS, PROVIDERS, ROUTES, DeploymentSeed
from routing.core.candidate import Candidate
from routing.core.lineup import lineup_of
from routing.core.plan import ActivePolicy
from routing.documents import read_policy
from routing.providers.base import Target
from routing.runtime import Runtime
from routing.snapshot import RouteEntry, Snapshot
from tenants.auth import Caller
from tenants.core.limits import Limit

CALLER = Caller(0, "routing-demo", "routing_demo", "", "demo", keep_content=False)
POLICY_FILES = {AUTO: Path(settings.BASE_DIR) / "policies" / "policy.auto.yaml"}
IN_ORDER = """\
buckets:
  short: {max_input_tokens: 300, max_output_tokens: 256}
  medium: {max_input_tokens: 2000, max_output_tokens: 1024}
defaults: {strategy: ordered, cache: {exact: false}}
"""
MOCK = {"mean_ms": 0, "reply_tokens": 300}


class NoRoom(Exception):
    """The message says which database is needed and why it cannot be used."""


class StagedRuntime(Runtime):
    """``time`` is the virtual clock, in epoch seconds; it begins now, since Redis forgets counters of the past."""

    def __init__(self, scenario: Scenario, redis_url: str, spool: Path) -> None:
        super().__init__(redis_url, InMemoryChannelLayer(), spool)
        self.environment = scenario.environment
        self.time = time.time()
        self._staged = _snapshot(scenario.policy)

    def now(self) -> float:
        return self.time

    async def _reload(self) -> bool:
        self.snapshot = self._staged
        self.loaded.set()
        return True


@asynccontextmanager
async def staged(scenario: Scenario) -> AsyncIterator[StagedRuntime]:
    """Raises NoRoom."""
    url = spare_database(settings.REDIS_URL)
    async with redis.asyncio.Redis.from_url(url) as client:
        try:
            if await client.dbsize():
                raise NoRoom(f"Redis database {urlsplit(url).path[1:]} is not empty; the demo needs it for itself.")
        except redis.ResponseError as error:
            raise NoRoom(f"Redis offers no database {urlsplit(url).path[1:]} for the demo ({error}).") from error
        with TemporaryDirectory(prefix="relay-demo-") as spool:
            runtime = StagedRuntime(scenario, url, Path(spool))
            try:
                await runtime.start()
                await runtime.loaded.wait()
                yield runtime
            finally:
                await runtime.stop()
                await client.flushdb()


def spare_database(url: str) -> str:
    """The last of Redis's sixteen logical databases, or the one before if Relay itself lives there."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path="/14" if parts.path == "/15" else "/15"))


def local_providers() -> set[str]:
    return {seed.slug for seed in PROVIDERS if "development" in seed.environments}


def _snapshot(policy: str) -> Snapshot:
    seeds = {seed.slug: seed for seed in DEPLOYMENTS}
    route = next(seed for seed in ROUTES if seed.name == "auto")
    run = secrets.token_hex(4)
    candidates = {"chat": lineup_of([_candidate(seeds[slug], run) for slug in route.candidates])}
    text = POLICY_FILES[policy].read_text() if policy in POLICY_FILES else IN_ORDER
    document = read_policy(text)
    without_cache = replace(document.defaults, cache=replace(document.defaults.cache, exact=False, semantic=False))
    return Snapshot(
        routes={(None, "auto"): RouteEntry("auto", None, policy, candidates, created=0, target="auto")},
        policies={(None, policy): ActivePolicy(policy, 1, replace(document, defaults=without_cache))},
        targets={(None, slug): _target(seeds[slug]) for slug in route.candidates},
        limited=True,
        limits={item.deployment: item.limits for item in candidates["chat"].candidates if item.limits},
    )


def _candidate(seed: DeploymentSeed, run: str) -> Candidate:
    """As the row would make it, with its credential there."""
    provider = next(item for item in PROVIDERS if item.slug == seed.provider)
    return Candidate(
        deployment=seed.slug,
        provider=seed.provider,
        model=seed.model,
        context_window=seed.context_window,
        price_in=seed.price_in_microusd,
        price_out=seed.price_out_microusd,
        environments=provider.environments,
        quality=seed.quality,
        strengths=seed.strengths,
        typical_latency_ms=seed.typical_latency_ms,
        neurons_in=seed.neurons_in,
        neurons_out=seed.neurons_out,
        limits=tuple(
            Limit(f"{run}-{number}-{seed.slug}", limit.metric, limit.window, limit.limit, deployment=seed.slug)
            for number, limit in enumerate(seed.limits)
        ),
    )


def _target(seed: DeploymentSeed) -> Target:
    return Target(
        deployment=seed.slug, provider=seed.provider, kind="mock", model=seed.model, base_url="", options=MOCK
    )
