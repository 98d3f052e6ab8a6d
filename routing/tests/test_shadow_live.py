"""Shadows in a running Relay: what is copied and what is not, that clients notice nothing, and that budgets hold."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis
import redis.asyncio
from django.conf import settings
from django.utils import timezone
from django_tenants.utils import tenant_context

from conftest import eventually, unique
from routing.models import Deployment, Route, Shadow, ShadowSum
from routing.services import save_draft
from routing.shadows.budget import Budget
from routing.shadows.models import ShadowPair
from routing.shadows.services import start_shadow, stop_shadow
from routing.tests.stage import CACHE, NO_CACHE, PRICES, Stage
from routing.tests.upstream import hangs, refuses, says
from tenants.models import ApiKey, Tenant
from traces.models import Trace

pytestmark = pytest.mark.usefixtures("committed")


class Shadowed:
    """A route of the stage with a shadow on it."""

    def __init__(
        self, stage: Stage, script: Any, *, tenant: Tenant | None = None, route: Any = (), **shadow: Any
    ) -> None:
        self.stage, self.tenant = stage, tenant or stage.tenant
        self.model = stage.route(says("one", " two"), tenant=tenant, **dict(route))
        self.route = Route.objects.get(name=self.model)
        self.slug = f"{self.model}-new"
        stage.fake.scripts[self.slug] = script
        provider = stage.deployment(self.model).provider
        self.deployment = Deployment.objects.create(slug=self.slug, provider=provider, model=self.slug, **PRICES)
        self.asked = 0
        self.start(**shadow)

    def start(self, **given: Any) -> None:
        wanted = {"candidate": self.deployment, "percent": 100.0, "budget_microusd": 10**9, "concurrent": 16, **given}
        self.shadow = start_shadow(route=self.route, **wanted)

    def ask(self, base: str = "", **more: Any) -> Any:
        self.asked += 1
        key = self.stage.key(self.tenant)
        said = f"question {self.asked} {self.model}"
        return self.stage.ask(base or self.stage.shells.express, self.model, said, key=key, **more)

    def live(self) -> "Shadowed":
        """Asks both servers until each has made a copy. Before that, copies are dropped: a server that has no slot of a
        deployment yet gets its share within a second, and copies do not wait."""
        for base in (self.stage.shells.express, self.stage.shells.drf):
            asked: list[str] = []
            eventually(lambda base=base, asked=asked: self._is_copied(base, asked))  # type: ignore[misc]
        eventually(lambda: not self.stage.fake.running[self.slug])
        return self

    def _is_copied(self, base: str, asked: list[str]) -> bool:
        asked.append(self.ask(base).headers["x-relay-trace-id"])
        with tenant_context(self.tenant):
            return ShadowPair.objects.filter(shadow_id=self.shadow.pk, trace_id__in=asked).exists()

    def outcomes(self) -> int:
        """Copies made or dropped, as far as they got to PostgreSQL."""
        rows = ShadowSum.objects.filter(shadow=self.shadow)
        return sum(row.n for row in rows if row.name == "failed" or row.name.startswith("dropped:"))

    def pair(self, answer: Any) -> ShadowPair:
        wanted = {"shadow_id": self.shadow.pk, "trace_id": answer.headers["x-relay-trace-id"]}
        with tenant_context(self.tenant):
            found = eventually(lambda: ShadowPair.objects.filter(**wanted).first())
        assert found is not None
        return found

    def pairs(self) -> int:
        with tenant_context(self.tenant):
            return ShadowPair.objects.filter(shadow_id=self.shadow.pk).count()

    def total(self, name: str) -> float:
        return sum(row.total for row in ShadowSum.objects.filter(shadow=self.shadow, name=name))

    def dropped(self, why: str) -> int:
        return sum(row.n for row in ShadowSum.objects.filter(shadow=self.shadow, name=f"dropped:{why}"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_copy_is_compared_and_the_client_gets_the_routes_answer(base: str, stage: Stage, stream: bool) -> None:
    shadowed = Shadowed(stage, says("another", " answer", usage=(5, 14), gap_s=0.01)).live()
    answer = shadowed.ask(base, stream=stream)
    assert "one" in answer.text and "another" not in answer.text
    pair = shadowed.pair(answer)
    assert (pair.answer, pair.base_failed, pair.candidate_failed) == ("another answer", False, False)
    assert (pair.base_deployment, pair.candidate_deployment) == (f"{shadowed.model}-0", shadowed.slug)
    assert (pair.base_tokens_out, pair.candidate_tokens_out, pair.candidate_cost_microusd) == (7, 14, 5 + 2 * 14)
    assert (pair.base_length, pair.candidate_length) == (7, 14)
    assert pair.base_latency_ms and pair.candidate_latency_ms and (pair.candidate_ttft_ms is not None) == stream
    [copy] = [
        one
        for one in stage.fake.received[shadowed.slug]
        if one["messages"][-1]["content"].startswith(f"question {shadowed.asked} ")
    ]
    assert copy.get("stream", False) == stream


def test_a_copy_is_no_trace_and_costs_its_tenant_no_quota(stage: Stage) -> None:
    shadowed = Shadowed(stage, says("another")).live()
    key_row, key = stage.new_key(quota={"metric": "requests", "window": "day", "limit": 3})
    answers = [stage.ask(stage.shells.express, shadowed.model, f"{n} {shadowed.model}", key=key) for n in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    for answer in answers[:3]:
        shadowed.pair(answer)
    stage.trace(answers[2])
    with tenant_context(stage.tenant):
        traces = Trace.objects.filter(key_id=ApiKey.objects.get(pk=key_row.pk).key_id)
        eventually(lambda: traces.count() == 4)
        assert not Trace.objects.filter(deployment=shadowed.slug).exists()
        assert shadowed.total("paid_candidate") > 0


def test_what_came_from_a_cache_or_names_its_policy_is_not_copied(stage: Stage) -> None:
    shadowed = Shadowed(stage, says("another"), route={"policy": CACHE}).live()
    first = stage.ask(stage.shells.express, shadowed.model, "the same")
    shadowed.pair(first)
    again = stage.ask(stage.shells.express, shadowed.model, "the same")
    assert again.headers["x-relay-cache"] == "exact"
    replays = {"Idempotency-Key": unique("key")}
    played = [stage.ask(stage.shells.express, shadowed.model, "once", headers=replays) for _ in range(2)]
    named = shadowed.ask(headers={"x-relay-policy": shadowed.model})
    last = shadowed.ask()
    shadowed.pair(played[0])
    shadowed.pair(last)
    with tenant_context(stage.tenant):
        copied = {str(one) for one in ShadowPair.objects.values_list("trace_id", flat=True)}
    uncopied = {one.headers["x-relay-trace-id"] for one in (again, played[1], named)}
    assert not copied & uncopied


def test_a_candidate_that_fails_or_hangs_changes_nothing_for_clients(stage: Stage) -> None:
    failing = Shadowed(stage, refuses(500)).live()
    answer = failing.ask()
    pair = failing.pair(answer)
    assert answer.status_code == 200 and (pair.candidate_failed, pair.error_code) == (True, "http_500")
    assert pair.answer == "" and pair.candidate_latency_ms is None
    stop_shadow(shadow=failing.shadow)
    hanging = Shadowed(stage, hangs(), concurrent=1)
    eventually(lambda: hanging.ask().status_code == 200 and stage.fake.running[hanging.slug])
    assert all(hanging.ask().status_code == 200 for _ in range(5))
    eventually(lambda: hanging.dropped("busy") >= 5)
    assert len(stage.fake.received[hanging.slug]) == 1
    stage.fake.scripts[hanging.slug] = says("better")


def test_where_the_route_fails_the_candidate_is_asked_all_the_same(stage: Stage) -> None:
    shadowed = Shadowed(stage, says("another")).live()
    stage.fake.scripts[f"{shadowed.model}-0"] = refuses(500)
    answer = shadowed.ask()
    pair = shadowed.pair(answer)
    assert answer.status_code == 503 and (pair.base_failed, pair.candidate_failed) == (True, False)


def test_the_budget_of_a_day_is_never_passed(stage: Stage) -> None:
    """Each copy holds 1 + 48 tokens in (and some), 64 out; it then costs 5 + 2 x 7 micro-dollars."""
    shadowed = Shadowed(stage, says("another"), budget_microusd=1_000)
    shadowed.live()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: shadowed.ask(stage.shells.url(("express", "drf")[number % 2])), range(90)))
    eventually(lambda: shadowed.dropped("spent") >= 30)
    day = ShadowSum.objects.filter(shadow=shadowed.shadow).latest("day").day
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        key = f"relay:{{shadow:{shadowed.shadow.pk}}}"
        eventually(lambda: client.zcard(f"{key}:running") == 0)
        counted = int(client.get(f"{key}:{day}"))
    assert 600 < counted <= 1_000
    assert counted == shadowed.total("paid_candidate") == 19 * shadowed.pairs()


def test_of_two_processes_only_one_gets_the_rest_and_a_lost_counter_is_read_anew() -> None:
    """Holds of 40 against a budget of 100, at once from many clients; then Redis forgets."""

    async def story() -> None:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL)
        shadow = int(unique("1").split("-")[1]) * 1_000_003

        async def spent_before() -> int:
            return 30

        budgets = [Budget(client, shadow, "2026-11-21", spent_before) for _ in range(10)]
        takes = (one.take(str(n), 40, budget=100, concurrent=9) for n, one in enumerate(budgets))
        permits = await asyncio.gather(*takes)
        assert sorted(permits) == ["go"] + ["spent"] * 9
        taken = permits.index("go")
        await budgets[0].settle(str(taken), 40, 10)
        assert await budgets[0].take("next", 60, budget=100, concurrent=9) == "go", "30 + 10 + 60"
        assert await budgets[0].take("more", 0, budget=100, concurrent=1) == "busy"
        await client.delete(f"relay:{{shadow:{shadow}}}:2026-11-21")
        await budgets[0].settle("next", 60, 60)
        assert await budgets[0].take("more", 71, budget=100, concurrent=9) == "spent", "30 are known"
        await client.aclose()
        gone = redis.asyncio.Redis.from_url("redis://127.0.0.1:1/0")
        assert await Budget(gone, shadow, "2026-11-21", spent_before).take("x", 1, budget=9, concurrent=9) == "away"
        await gone.aclose()

    asyncio.run(story())


def test_a_policy_version_is_compared_by_whom_it_would_ask(stage: Stage) -> None:
    shadowed = Shadowed(stage, says("never asked"))
    stop_shadow(shadow=shadowed.shadow)
    text = NO_CACHE.replace("max_tokens: 64", "max_tokens: 32, temperature: 0.3")
    draft = save_draft(policy=shadowed.route.policy, text=text, base=1)
    shadowed.start(candidate=draft)
    shadowed.live()
    answer = shadowed.ask()
    assert shadowed.pair(answer).candidate_deployment == f"{shadowed.model}-0"
    sent = [one for one in stage.received(shadowed.model) if one.get("temperature") == 0.3]
    assert sent and all(one["max_tokens"] == 32 for one in sent)
    assert answer.headers["x-relay-policy"] == f"{shadowed.model}@1"


def test_stopped_or_over_there_are_no_more_copies(stage: Stage) -> None:
    shadowed = Shadowed(stage, says("another"), until=timezone.now() + timedelta(hours=1)).live()
    Shadow.objects.filter(pk=shadowed.shadow.pk).update(until=timezone.now())

    def none_for_ten() -> bool:
        before = shadowed.outcomes()
        answers = [shadowed.ask(base) for base in (stage.shells.express, stage.shells.drf) * 5]
        stage.trace(answers[-1])
        return shadowed.outcomes() == before

    eventually(none_for_ten)
    shadowed.start()
    assert Shadow.objects.filter(route=shadowed.route, stopped_at=None).count() == 1, "one that is over makes room"


def test_a_tenant_with_metadata_only_gets_figures_and_no_words(stage: Stage, tenant_c: Tenant) -> None:
    shadowed = Shadowed(stage, says("a secret word"), tenant=tenant_c).live()
    pair = shadowed.pair(shadowed.ask())
    assert (pair.answer, pair.candidate_length) == ("", 13)


def test_pairs_lie_in_the_tenants_own_schema(stage: Stage, tenant_b: Tenant) -> None:
    shadowed = Shadowed(stage, says("another"), tenant=tenant_b).live()
    pair = shadowed.pair(shadowed.ask())
    with tenant_context(stage.tenant):
        assert not ShadowPair.objects.filter(trace_id=pair.trace_id).exists()


def test_answers_are_compared_by_meaning_where_that_is_wanted(stage: Stage) -> None:
    shadowed = Shadowed(stage, says("one", " two"), similarity=True).live()
    assert shadowed.pair(shadowed.ask()).similarity == pytest.approx(1, abs=1e-3)
    stage.fake.scripts[shadowed.slug] = says("A horse is a large animal.")
    assert 0 < (shadowed.pair(shadowed.ask()).similarity or 0) < 0.9
    stage.fake.scripts[shadowed.slug] = says("")
    assert shadowed.pair(shadowed.ask()).similarity is None
