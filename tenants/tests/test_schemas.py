from typing import Any

import pytest
from django.db import connection
from django_tenants.utils import schema_context

from conftest import unique
from tenants.services import create_tenant

pytestmark = pytest.mark.django_db

APPLIED = "SELECT app, name FROM {}.django_migrations ORDER BY 1, 2"
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"


def rows(sql: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def test_every_migration_counts_as_done_and_only_tenants_tables_are_there() -> None:
    schema = create_tenant(slug=unique("shop")).schema_name
    assert rows(APPLIED.format(schema)) == rows(APPLIED.format("public"))
    with schema_context(schema):
        tables = {name for (name,) in rows(TABLES, schema)}
    assert {"traces_trace", "caching_semanticentry", "evals_run", "shadows_shadowpair"} <= tables
    assert not {"tenants_tenant", "routing_policy", "auth_user"} & tables
