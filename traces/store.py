"""Rows into a tenant's schema: once each, many at a time. Nothing else writes traces to PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from psycopg import sql

from tenants.scripts import LOCK
from traces.core.rows import COLUMNS, Unreadable, began_at, copy_line
from traces.partitions import make_room
from traces.rollup import roll_up

TENANT = """
    SELECT id, pg_advisory_xact_lock_shared(%s) FROM public.tenants_tenant WHERE slug = %s AND schema_name = %s
"""
# The bounds keep PostgreSQL to the partitions that it must look into.
KNOWN = sql.SQL("""
SELECT id::text FROM {table} WHERE id = ANY(%s::text[]::uuid[])
  AND started_at BETWEEN to_timestamp(%s - 0.001) AND to_timestamp(%s + 0.001)
""")
COPY = sql.SQL("COPY {table} ({columns}) FROM STDIN")
KEYS_USED = """
    UPDATE public.tenants_apikey AS key SET last_used_at = to_timestamp(used.at)
    FROM unnest(%s::text[], %s::float8[]) AS used (name, at)
    WHERE key.tenant_id = %s AND key.name = used.name
      AND (key.last_used_at IS NULL OR key.last_used_at < to_timestamp(used.at) - interval '1 minute')
"""


# What is written with the new traces in their transaction: given the new records. Registered once, when Django starts.
ALONG: list[Callable[[Sequence[Mapping[str, Any]]], None]] = []


def store_traces(*, tenant: str, schema: str, records: Sequence[Mapping[str, Any]]) -> int:
    """How many were new; those whose id is known are left as they are. One transaction.

    Raises Unreadable, django.db.DataError or IntegrityError if one of the records cannot be stored, and Unreadable if
    the schema is not this tenant's.
    """
    lines = {str(record["id"]): copy_line(record) for record in records}
    began = [began_at(record) for record in records]
    by_id = {str(record["id"]): record for record in records}
    table = sql.Identifier(schema, "traces_trace")
    make_room(schema, [datetime.fromtimestamp(at, UTC) for at in began], timezone.now())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TENANT, [LOCK, tenant, schema])
        found = cursor.fetchone()
        if found is None:
            raise Unreadable(f"tenant {tenant!r} with schema {schema!r} does not exist")
        cursor.execute(KNOWN.format(table=table), [list(lines), min(began), max(began)])
        for (known,) in cursor.fetchall():
            lines.pop(known, None)
        if lines:
            columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in COLUMNS)
            with connection.wrap_database_errors, cursor.copy(COPY.format(table=table, columns=columns)) as copy:
                copy.write(b"".join(lines.values()))
            roll_up(cursor, schema=schema, ids=list(lines), since=min(began), until=max(began))
            for write in ALONG:
                write([by_id[one] for one in lines])
        used = _last_uses(records)
        if used:
            cursor.execute(KEYS_USED, [list(used), list(used.values()), found[0]])
    return len(lines)


def _last_uses(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The latest use of each key (name -> epoch seconds); sample data was sent by nobody."""
    used: dict[str, float] = {}
    for record in records:
        name = record.get("api_key")
        if name and not record.get("sample"):
            used[name] = max(used.get(name, 0.0), record["started_at"])
    return used
