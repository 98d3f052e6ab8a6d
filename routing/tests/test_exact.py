"""The ledger stays exact: many at once, over two web processes, of which one is killed, and with a Redis that is
emptied or restarted under load. Exact means: what is settled is what the traces say, and no hard limit is passed."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import aiohttp
import httpx
import psycopg
import pytest
import redis

from conftest import eventually, unique
from routing.tests.own_stack import OwnStack, own_stack
from tenants.core.limits import Limit, counter_of
from tenants.scripts import BEAT, COUNTERS, EPOCH, PROCESSES

SETUP = """
from routing.models import Deployment, DeploymentLimit
from tenants.models import Tenant
from tenants.services import create_api_key
options = {"mean_ms": 300, "p95_ms": 600, "reply_tokens": 12}
prices = {"price_in_microusd": 1_000_000, "price_out_microusd": 3_000_000}
Deployment.objects.filter(slug="mock-fast").update(options=options, capacity=400, **prices)
mock = Deployment.objects.get(slug="mock-fast")
DeploymentLimit.objects.create(deployment=mock, metric="tokens", window="month", limit=10**12)
tenant = Tenant.objects.get(slug="default")
for name in ("free", "limited"):
    print(create_api_key(tenant=tenant, name=name)[1])
"""
KEY = """
from django.db import transaction
from tenants.models import Quota, Tenant
from tenants.services import create_api_key
tenant = Tenant.objects.get(slug="default")
with transaction.atomic():
    row, key = create_api_key(tenant=tenant, name={name!r})
    for metric, limit in {limits!r}.items():
        Quota.objects.create(tenant=tenant, api_key=row, metric=metric, window="month", limit=limit)
print(key)
"""
COUNTERS_OF = """
SELECT metric, metric, 'q' || id FROM tenants_quota WHERE api_key_id = (SELECT id FROM tenants_apikey WHERE name = %s)
UNION SELECT 'deployment', metric, 'd' || id FROM routing_deploymentlimit
WHERE deployment_id = (SELECT id FROM routing_deployment WHERE slug = 'mock-fast')
"""
COLUMNS = {"requests": "charged_requests", "tokens": "charged_tokens", "cost": "cost_microusd"}
PLENTY = 10**12
SUMS = "SELECT {} FROM t_default.traces_trace WHERE api_key = %s"
OF_DEPLOYMENT = """
SELECT coalesce(sum((attempt->'charged'->>'tokens')::bigint), 0)::bigint
FROM t_default.traces_trace, jsonb_array_elements(attempts_json) attempt
"""


class Books:
    """A key with quotas: its counters beside the sums of its traces, and those of the deployment that serves it."""

    def __init__(self, own: OwnStack, **limits: int) -> None:
        self.own, self.name = own, unique("books")
        self.limits = dict.fromkeys(COLUMNS, PLENTY) | limits
        self.key = own.manage("shell", "-v0", "-c", KEY.format(name=self.name, limits=self.limits)).split()[-1]
        self.redis: Any = redis.Redis.from_url(own.redis_url)
        self.database = psycopg.connect(own.database_url, autocommit=True)
        headers = {"Authorization": f"Bearer {self.key}"}
        for port in own.web_ports:
            eventually(lambda port=port: httpx.get(f"http://127.0.0.1:{port}/v1/models", headers=headers).is_success)  # type: ignore[misc]

    def close(self) -> None:
        self.redis.close()
        self.database.close()

    def counters(self) -> dict[str, tuple[int, int]]:
        """Settled and held of each metric."""
        found = self.database.execute(COUNTERS_OF, [self.name])
        return {name: self._counter(Limit(key, metric, "month", 1)) for name, metric, key in found}

    def _counter(self, limit: Limit) -> tuple[int, int]:
        generation = (self.redis.hget(EPOCH, "g") or b"").decode()
        settled, held = self.redis.hmget(counter_of(limit, time.time()).key, f"s{generation}", "h")
        return int(settled or 0), int(held or 0)

    def traced(self) -> dict[str, int]:
        columns = ", ".join(f"coalesce(sum({column}), 0)::bigint" for column in COLUMNS.values())
        sums = self.database.execute(SUMS.format(columns), [self.name]).fetchone() or ()
        [(tokens,)] = self.database.execute(OF_DEPLOYMENT).fetchall()
        return {**dict(zip(COLUMNS, sums, strict=True)), "deployment": tokens}

    def agree(self) -> bool:
        """Nothing is held any more, and each counter is what the traces add up to, to the last micro-dollar."""
        return self.counters() == self.expected()

    def expected(self) -> dict[str, tuple[int, int]]:
        return {name: (value, 0) for name, value in self.traced().items()}

    def check(self) -> None:
        """As soon as the writer has caught up."""
        with suppress(AssertionError):
            eventually(self.agree)
        assert self.counters() == self.expected()

    def load(self, requests: int, *, meanwhile: Callable[[], object] = lambda: None, at: float = 0.3) -> Counter[int]:
        """How many requests got which status, 0: no answer. ``meanwhile`` happens when that share was answered."""
        return asyncio.run(self._load(requests, meanwhile, int(requests * at)))

    async def _load(self, requests: int, meanwhile: Callable[[], object], after: int) -> Counter[int]:
        statuses: Counter[int] = Counter()
        happened = asyncio.Event()
        body = {"model": "mock", "messages": [{"role": "user", "content": "What is light made of?"}]}
        headers = {"Authorization": f"Bearer {self.key}", "x-relay-cache": "no-store"}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=500), headers=headers) as client:

            async def ask(number: int) -> None:
                port = self.own.web_ports[number % len(self.own.web_ports)]
                try:
                    async with client.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as answer:
                        await answer.read()
                        statuses[answer.status] += 1
                except aiohttp.ClientError:
                    statuses[0] += 1
                if statuses.total() >= after and not happened.is_set():
                    happened.set()
                    meanwhile()  # in this thread: a program ends with the thread that started it

            await asyncio.gather(*(ask(number) for number in range(requests)))
        return statuses


@pytest.fixture(scope="module")
def own() -> Iterator[OwnStack]:
    with own_stack(setup=SETUP, webs=2) as stack:
        yield stack


def test_a_hundred_of_five_hundred_at_once(own: OwnStack) -> None:
    with closing(Books(own, requests=100)) as books:
        assert books.load(500) == {200: 100, 429: 400}
        books.check()
        assert books.counters()["requests"] == (100, 0)


def test_a_budget_for_a_hundred_is_not_passed_by_five_hundred_at_once(own: OwnStack) -> None:
    with closing(Books(own)) as one:
        assert one.load(1) == {200: 1}
        price = eventually(one.traced)["cost"] or eventually(lambda: one.traced()["cost"])
    with closing(Books(own, cost=100 * price)) as books:
        for _ in range(3):  # what the first held and did not use, the next may
            assert set(books.load(500)) <= {200, 429}
        books.check()
        assert 0 < books.counters()["cost"][0] <= 100 * price


def test_a_web_process_killed_under_load(own: OwnStack) -> None:
    with closing(Books(own)) as books:
        statuses = books.load(300, meanwhile=lambda: own.kill("web1"))
        own.start_web(1)
        assert statuses[200] > 50 and set(statuses) <= {0, 200}
        assert any(held for _, held in books.counters().values()), "what it had under way is still held"
        keys = ("EVALSHA", BEAT.sha, 2, PROCESSES, COUNTERS)
        eventually(lambda: books.redis.execute_command(*keys, "a-test", 7) and books.agree())


def test_a_redis_that_is_emptied_under_load(own: OwnStack) -> None:
    with closing(Books(own, requests=150)) as books:
        statuses = books.load(400, meanwhile=books.redis.flushall)
        assert set(statuses) <= {200, 429, 503}
        statuses += books.load(400)
        books.check()
        assert books.counters()["requests"] == (150, 0)
        assert statuses[200] == 150, "no more for those whose counter was lost, and no less"


def test_a_redis_that_is_killed_and_comes_back_under_load(own: OwnStack) -> None:
    def restart() -> None:
        own.kill("valkey")
        own.start_valkey()

    with closing(Books(own, requests=150)) as books:
        books.load(400, meanwhile=restart)
        eventually(lambda: books.load(40)[429] == 40)
        books.check()
        assert books.counters()["requests"] == (150, 0)
