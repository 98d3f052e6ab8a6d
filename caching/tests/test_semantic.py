import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.db import connection
from django_tenants.utils import schema_context
from psycopg_pool import AsyncConnectionPool

from caching import services, tasks
from caching.core.keys import entry_id, semantic_scope
from caching.embedders import embedder
from caching.models import SemanticEntry
from caching.semantic import MOST_WRITES, Lookup, SemanticCache, semantic_pool
from caching.tests.conftest import NOW, SCOPE, TRACE, in_thread, vector_at
from tenants.models import Tenant

Store = Callable[..., Awaitable[bool]]
Ask = Callable[..., Awaitable[Lookup]]

QUESTION = "Explain what an API gateway does in 2 lines."
PARAPHRASE = "In two lines, what does an API gateway do?"


async def test_a_paraphrase_is_answered_with_provenance(store: Store, ask: Ask, tenant_a: Any) -> None:
    stored, asked, other = embedder().embed([QUESTION, PARAPHRASE, QUESTION.replace("2", "20")])
    await store(tenant_a, QUESTION, vector=stored)

    found = await ask(tenant_a, PARAPHRASE, vector=asked, threshold=0.95)
    assert (found.outcome, found.examined, found.refused_because) == ("hit", 1, None)
    assert found.similarity == pytest.approx(0.957, abs=0.001)
    entry = found.entry
    assert entry is not None
    assert orjson.loads(entry.answer) == {"answer to": QUESTION}
    assert (entry.id, entry.source_trace) == (entry_id(scope=SCOPE, text=QUESTION), TRACE)
    assert (entry.policy, entry.policy_version, entry.deployment, entry.model) == ("demo", 3, "local", "smollm2")
    assert (entry.created_at, entry.expires_at) == (NOW, NOW + 60)

    near = await ask(tenant_a, QUESTION.replace("2", "20"), vector=other, threshold=0.94)
    assert near.outcome == "near"
    assert near.refused_because == "the numbers differ: “2 line” against “20 line”"
    assert near.entry is not None and near.entry.question == QUESTION


async def test_no_tenant_finds_an_entry_of_another(store: Store, ask: Ask, tenant_a: Any, tenant_b: Any) -> None:
    await store(tenant_a, QUESTION)
    assert (await ask(tenant_a, QUESTION)).outcome == "hit"
    assert (await ask(tenant_b, QUESTION)).examined == 0


async def test_each_lookup_is_planned_by_itself(tenant_a: Any) -> None:
    """After ten of them PostgreSQL would otherwise keep one plan for scopes of one entry and of thousands."""
    async with semantic_pool(settings.DATABASE_URL) as pool:
        cache, vector, looked = SemanticCache(pool), vector_at(0), 0
        while looked < 12:  # on a busy machine one may find no connection in time
            found = await cache.lookup(
                schema=tenant_a.schema_name, scope=b"empty", text="?", vector=vector, threshold=0.9, now=NOW
            )
            looked += found.refused_because is None
        async with pool.connection() as one:
            counted = await one.execute(
                "SELECT sum(generic_plans), max(custom_plans) FROM pg_prepared_statements WHERE statement LIKE %s",
                ["%<=>%"],
            )
            generic, custom = await counted.fetchone() or (None, None)
    assert generic == 0 and custom > 5


@pytest.mark.django_db
def test_vectors_lie_in_their_rows(tenant_a: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attstorage FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'embedding'",
            [f"{tenant_a.schema_name}.caching_semanticentry"],
        )
        assert cursor.fetchall() == [("p",)]


@pytest.mark.parametrize(
    "changed",
    [
        {"messages": [{"role": "system", "content": "Be rude."}, {"role": "user", "content": QUESTION}]},
        {"temperature": 0.3},
        {"model": "another"},
        {"user": "someone-else"},
        {"max_tokens": 9},
        {"tool_choice": "none"},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_another_request_around_the_same_question_never_hits(
    store: Store, ask: Ask, tenant_a: Any, changed: dict[str, Any]
) -> None:
    body = {"model": "local", "messages": [{"role": "user", "content": QUESTION}], "temperature": 0.2}
    await store(tenant_a, QUESTION, scope=semantic_scope(signature="demo@3", body=body, scope=""))
    found = await ask(tenant_a, QUESTION, scope=semantic_scope(signature="demo@3", body=body | changed, scope=""))
    assert found == Lookup(outcome="miss", threshold=0.9)


async def test_an_expired_entry_is_gone_at_its_second(store: Store, ask: Ask, tenant_a: Any) -> None:
    await store(tenant_a, QUESTION, ttl_s=60)
    assert (await ask(tenant_a, QUESTION, now=NOW + 59.9)).outcome == "hit"
    assert (await ask(tenant_a, QUESTION, now=NOW + 60)).outcome == "miss"


async def test_the_nearest_that_the_guard_lets_pass_answers(store: Store, ask: Ask, tenant_a: Any) -> None:
    await store(tenant_a, "List 3 uses of tea.", vector=vector_at(1))
    await store(tenant_a, "List 4 uses of tea.", vector=vector_at(2))
    await store(tenant_a, "List five uses of tea.", vector=vector_at(3))
    found = await ask(tenant_a, "List 5 uses of tea.")
    assert (found.outcome, found.examined) == ("hit", 3)
    assert found.entry is not None and found.entry.question == "List five uses of tea."


@pytest.mark.parametrize(("degrees", "outcome"), [(25, "hit"), (26, "near"), (36, "near"), (38, "miss"), (90, "miss")])
async def test_what_lies_below_the_threshold_does_not_answer(
    store: Store, ask: Ask, tenant_a: Any, degrees: float, outcome: str
) -> None:
    await store(tenant_a, QUESTION)
    found = await ask(tenant_a, QUESTION, vector=vector_at(degrees))  # cos 25 = .906, cos 26 = .899, cos 37 = .799
    assert found.outcome == outcome
    assert found.refused_because is None
    assert (found.entry is None) == (outcome == "miss")


async def test_the_same_question_replaces_its_entry(
    store: Store, ask: Ask, cache: SemanticCache, tenant_a: Any
) -> None:
    await store(tenant_a, QUESTION, answer=b'{"v": 1}')
    await store(tenant_a, QUESTION, answer=b'{"v": 2}', now=NOW + 0.5)
    found = await ask(tenant_a, QUESTION)
    assert found.examined == 1
    assert found.entry is not None and orjson.loads(found.entry.answer) == {"v": 2}


async def test_an_answer_that_postgres_cannot_hold_is_not_kept(store: Store, ask: Ask, tenant_a: Any) -> None:
    assert not await store(tenant_a, QUESTION, answer=b'{"text": "a\\u0000b"}')
    assert (await ask(tenant_a, QUESTION)).examined == 0


async def test_a_small_scope_is_found_among_many_nearer_strangers(store: Store, ask: Ask, tenant_a: Any) -> None:
    for number in range(60):
        await store(tenant_a, f"Question of a stranger {number}", scope=b"o" * 32)
    await store(tenant_a, QUESTION, vector=vector_at(10))
    assert (await ask(tenant_a, QUESTION)).outcome == "hit"


async def test_a_database_that_is_away_is_a_miss(tenant_a: Any) -> None:
    async with AsyncConnectionPool("host=127.0.0.1 port=1", min_size=0, max_size=1, open=False) as pool:
        found = await SemanticCache(pool).lookup(
            schema=tenant_a.schema_name, scope=SCOPE, text=QUESTION, vector=vector_at(0), threshold=0.9, now=NOW
        )
    assert (found.outcome, found.refused_because) == ("miss", "the lookup took too long or failed")


async def test_what_would_keep_lookups_waiting_is_not_stored(store: Store, tenant_a: Any) -> None:
    stored = await asyncio.gather(*(store(tenant_a, f"{QUESTION} {number}") for number in range(MOST_WRITES + 8)))
    assert stored == [True] * MOST_WRITES + [False] * 8
    assert await store(tenant_a, QUESTION), "and then it goes on"


async def test_hits_are_counted(store: Store, ask: Ask, cache: SemanticCache, tenant_a: Any) -> None:
    await store(tenant_a, QUESTION)
    entry = (await ask(tenant_a, QUESTION)).entry
    assert entry is not None
    await cache.touch(schema=tenant_a.schema_name, entry=entry.id, now=NOW + 2)
    row = await _row(tenant_a)
    assert (row.hits, row.last_hit_at) == (1, datetime.fromtimestamp(NOW + 2, UTC))
    assert str(row) == QUESTION


async def test_only_its_own_tenant_can_forget_an_entry(store: Store, ask: Ask, tenant_a: Any, tenant_b: Any) -> None:
    await store(tenant_a, QUESTION)
    entry = entry_id(scope=SCOPE, text=QUESTION)
    forget = in_thread(services.forget)
    assert not await forget(schema=tenant_b.schema_name, entry_id=entry)
    assert (await ask(tenant_a, QUESTION)).outcome == "hit"
    assert await forget(schema=tenant_a.schema_name, entry_id=entry)
    assert (await ask(tenant_a, QUESTION)).outcome == "miss"


async def test_the_hourly_purge_takes_what_expired_from_every_tenant(
    store: Store, tenant_a: Any, tenant_b: Any
) -> None:
    for tenant in (tenant_a, tenant_b):
        await store(tenant, "old", now=0)
        await store(tenant, "fresh", ttl_s=10 * 365 * 86_400)
    assert await in_thread(tasks.purge_expired)() == 2
    assert (await _row(tenant_a)).question == "fresh"


async def test_a_tenant_without_a_schema_does_not_stop_the_purge(store: Store, tenant_a: Any) -> None:
    await store(tenant_a, "old", now=0)
    # bulk_create: save() would make the schema
    gone = Tenant(schema_name="gone", slug="gone", name="Gone")
    await in_thread(Tenant.objects.bulk_create)([gone])
    try:
        assert await in_thread(tasks.purge_expired)() == 1
    finally:
        await in_thread(Tenant.objects.filter(slug="gone").delete)()


async def _row(tenant: Any) -> SemanticEntry:
    def get() -> SemanticEntry:
        with schema_context(tenant.schema_name):
            return SemanticEntry.objects.get()

    row: SemanticEntry = await in_thread(get)()
    return row
