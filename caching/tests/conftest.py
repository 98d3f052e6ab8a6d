from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from caching.embedders import Vector
from caching.semantic import Lookup, SemanticCache

NOW = 1_800_000_000.0
SCOPE = b"s" * 32
TRACE = UUID("01990000-0000-7000-8000-000000000001")


@pytest.fixture
async def cache(tenant_a: Any, tenant_b: Any) -> AsyncIterator[SemanticCache]:
    """Over a pool without any search_path; the tables of both tenants are emptied first."""
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as db:
        for tenant in (tenant_a, tenant_b):
            table = sql.Identifier(tenant.schema_name, "caching_semanticentry")
            db.execute(sql.SQL("DELETE FROM {}").format(table))
    async with AsyncConnectionPool(settings.DATABASE_URL, min_size=1, max_size=2, open=False) as pool:
        yield SemanticCache(pool)


def vector_at(degrees: float) -> Vector:
    """Two of these are alike by the cosine of the angle between them."""
    vector = np.zeros(384, np.float32)
    vector[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector


@pytest.fixture
def store(cache: SemanticCache) -> Callable[..., Any]:
    async def _store(tenant: Any, question: str, **changed: Any) -> bool:
        values: dict[str, Any] = {
            "scope": SCOPE, "vector": vector_at(0), "answer": orjson.dumps({"answer to": question}), "now": NOW,
            "source_trace": TRACE, "policy": "demo", "policy_version": 3, "deployment": "local", "model": "smollm2",
            "ttl_s": 60,
        }  # fmt: skip
        return await cache.store(schema=tenant.schema_name, text=question, **values | changed)

    return _store


@pytest.fixture
def ask(cache: SemanticCache) -> Callable[..., Any]:
    async def _ask(tenant: Any, question: str, **changed: Any) -> Lookup:
        values: dict[str, Any] = {"scope": SCOPE, "vector": vector_at(0), "threshold": 0.9, "now": NOW + 1}
        return await cache.lookup(schema=tenant.schema_name, text=question, **values | changed)

    return _ask


def in_thread(work: Callable[..., Any]) -> Callable[..., Any]:
    """The ORM from an async test, with its connection closed after."""

    def closing(*args: Any, **named: Any) -> Any:
        try:
            return work(*args, **named)
        finally:
            connection.close()

    return sync_to_async(closing)
