"""Made-up traffic of one day, for a console that is not empty at first and for load tests of the trace list."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from math import cos, pi
from random import Random
from typing import Any

from tenants.models import Tenant
from traces.core.ids import uuid7
from traces.draft import TraceDraft
from traces.sample_texts import TEXTS
from traces.sample_walk import Server, Walk
from traces.store import store_traces

DAY_S = 86_400.0
BUSIEST_HOUR = 14  # UTC
INCIDENT = (7.5 * 3600, 6.8 * 3600)  # seconds ago: the first candidate fails for a while
STORED_AT_ONCE = 2_000
KEYS = ("web-prod", "nightly-batch", "support-bot")
ROUTES: dict[str, tuple[Server, ...]] = {
    "local-ollama": (
        Server("ollama-llama", "ollama", "llama3.2:1b", 240, 24),
        Server("embedded-smollm2", "embedded", "smollm2-135m", 190, 21),
    ),
    "mock": (Server("mock-fast", "mock", "mock-1", 40, 1.5, 150_000, 600_000),),
}


class _Day:
    """Remembers what was answered, so that a cached answer names the trace that it came from."""

    def __init__(self, *, chance: Random, now: float, tenant: str, schema: str) -> None:
        self.chance, self.now, self.tenant, self.schema = chance, now, tenant, schema
        self.answered: dict[tuple[str, str], TraceDraft] = {}

    def trace(self, at: float) -> dict[str, Any]:
        chance = self.chance
        text, route = chance.choice(TEXTS), chance.choice(tuple(ROUTES))
        draft = TraceDraft(
            id=uuid7(at, chance.randbytes(10)),
            tenant=self.tenant,
            schema=self.schema,
            started_at=at,
            started_monotonic=0.0,
            request_id=f"req-{chance.getrandbits(48):012x}",
            sample=True,
            api_key=chance.choices(KEYS, (6, 1, 3))[0],
            route=route,
            stream=chance.random() < 0.4,
        )
        walk = Walk(draft, chance, text, ROUTES[route])
        walk.ask(text.question)
        walk.span("Check key", "gate", 0.05 + chance.random() * 0.1, key=draft.api_key)
        stories: tuple[Callable[[Walk], None], ...] = (
            self._served,
            self._exact,
            self._alike,
            _limited,
            _rejected,
            _left,
        )
        chance.choices(stories, (70, 12, 8, 4, 4, 2))[0](walk)
        walk.clock += 0.2 + chance.random() * 0.5  # the write at the end
        return draft.record(now=walk.clock / 1000)

    def _served(self, walk: Walk) -> None:
        """By the first candidate, by the next, or by none."""
        draft, chance = walk.draft, self.chance
        _admitted(walk)
        incident = INCIDENT[1] <= self.now - draft.started_at <= INCIDENT[0]
        for server in walk.servers:
            risk = 0.7 if incident and server is walk.servers[0] else 0.035
            if chance.random() < risk:
                walk.fail(server)
                continue
            walk.answer(server)
            draft.outcome, draft.status = ("fell_back" if walk.tries > 1 else "ok"), 200
            if walk.tries > 1:
                draft.reason = f"{walk.servers[0].deployment} failed, the next candidate answered"
            self.answered[draft.route, walk.text.question] = draft
            return
        walk.refuse(503, "server_error", "upstream_unavailable", "No provider answered. Try again shortly.")

    def _exact(self, walk: Walk) -> None:
        source = self.answered.get((walk.draft.route, walk.text.question))
        if source is None:
            return self._served(walk)
        walk.plan()
        walk.span("Look up exact cache", "cache", 0.4 + self.chance.random() * 0.4, outcome="hit")
        walk.draft.cache_json = {"exact": "hit", "semantic": "off"}
        _reuse(walk, source, "exact", "The same request was answered before")

    def _alike(self, walk: Walk) -> None:
        source = self.answered.get((walk.draft.route, walk.text.question))
        if source is None or not walk.text.again:
            return self._served(walk)
        walk.ask(walk.text.again)
        walk.plan()
        walk.look_up(semantic=True)
        walk.look_up_semantic("hit", round(self.chance.uniform(0.925, 0.985), 3))
        found = {"question": walk.text.question, "entry_id": source.id, "expires_at": source.started_at + 3600}
        walk.draft.cache_json = {**(walk.draft.cache_json or {}), **found}
        _reuse(walk, source, "semantic", "A question alike was answered before")


def _reuse(walk: Walk, source: TraceDraft, kind: str, why: str) -> None:
    draft = walk.draft
    draft.outcome, draft.status, draft.cache, draft.reason = "cached", 200, kind, why
    draft.model, draft.deployment, draft.response_json = source.model, source.deployment, source.response_json
    draft.tokens_in, draft.tokens_out, draft.usage_source = source.tokens_in, source.tokens_out, "cache"
    draft.saved_microusd = source.cost_microusd
    draft.cache_json = {
        **(draft.cache_json or {}),
        "why": f"{why}.",
        "source_trace": source.id,
        "policy": source.policy,
        "policy_version": source.policy_version,
        "created_at": source.started_at,
        "age_s": round(draft.started_at - source.started_at, 1),
    }
    draft.step("cache", kind, "hit", f"{why}.")


def _admitted(walk: Walk) -> None:
    walk.plan()
    walk.look_up(semantic=False)
    depth = walk.chance.choices((0, walk.chance.randint(1, 8)), (8, 2))[0]
    walk.wait(depth * walk.chance.uniform(60, 160), depth)


def _limited(walk: Walk) -> None:
    walk.plan()
    walk.look_up(semantic=False)
    walk.turn_away()


def _rejected(walk: Walk) -> None:
    walk.servers = ()
    walk.draft.route = "gpt-5-mini"
    walk.ask(walk.text.question)
    said = "The model 'gpt-5-mini' does not exist or you do not have access to it."
    walk.refuse(404, "invalid_request_error", "model_not_found", said)


def _left(walk: Walk) -> None:
    walk.draft.stream = True
    walk.ask(walk.text.question)
    _admitted(walk)
    walk.answer(walk.servers[0], share=walk.chance.uniform(0.2, 0.8))
    walk.draft.outcome, walk.draft.status, walk.draft.reason = "cancelled", 499, "The client went away"


def sample_traces(
    *, now: float, count: int, seed: int = 1, tenant: str = "default", schema: str = "t_default"
) -> Iterator[dict[str, Any]]:
    """Records of the 24 hours before ``now``, oldest first; the same arguments give the same ones."""
    chance = Random(seed)
    day = _Day(chance=chance, now=now, tenant=tenant, schema=schema)
    for at in sorted(_moment(chance, now) for _ in range(count)):
        yield day.trace(at)


def _moment(chance: Random, now: float) -> float:
    """More by day than by night."""
    while True:
        at = now - chance.random() * DAY_S
        hour = at % DAY_S / 3600
        if chance.random() < 0.55 + 0.45 * cos((hour - BUSIEST_HOUR) / 24 * 2 * pi):
            return at


def write_samples(tenant: Tenant, *, count: int = 600, seed: int = 1, now: float | None = None) -> int:
    """Put them into the tenant's schema, marked as sample data; how many are new."""
    made = sample_traces(
        now=time.time() if now is None else now, count=count, seed=seed, tenant=tenant.slug, schema=tenant.schema_name
    )
    stored = 0
    while batch := list(islice(made, STORED_AT_ONCE)):
        stored += store_traces(tenant=tenant.slug, schema=tenant.schema_name, records=batch)
    return stored
