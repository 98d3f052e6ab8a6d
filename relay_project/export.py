"""Everything that Relay holds of one tenant, as JSON lines {"kind", "row"}; secrets and sealed credentials stay out.

Rows are read through a cursor of the server, as of one moment, so that memory stays small however many there are.
"""

from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import psycopg
from django.conf import settings
from psycopg import sql
from redis.asyncio import Redis

from caching.exact import load
from tenants.audit import record
from tenants.models import AuditEntry, Tenant

PAGE = 500
OF_TENANT = {
    "tenant": "SELECT slug, name, content, trace_days, active, created_at FROM public.tenants_tenant"
    " WHERE id = %(tenant)s",
    "member": "SELECT username, email, first_name, last_name, role, m.created_at FROM public.tenants_membership m"
    " JOIN public.tenants_user u ON u.id = m.user_id WHERE m.tenant_id = %(tenant)s ORDER BY m.id",
    "api_key": "SELECT name, key_id, scopes, expires_at, revoked_at, last_used_at, created_by, created_at"
    " FROM public.tenants_apikey WHERE tenant_id = %(tenant)s ORDER BY id",
    "quota": 'SELECT k.name AS api_key, metric, "window", "limit", timezone, hard FROM public.tenants_quota q'
    " LEFT JOIN public.tenants_apikey k ON k.id = q.api_key_id WHERE q.tenant_id = %(tenant)s ORDER BY q.id",
    "quota_reset": "SELECT limit_name, window_start, amount, author, note, created_at FROM public.tenants_quotareset"
    " WHERE tenant_id = %(tenant)s ORDER BY id",
    "credential": "SELECT p.slug AS provider, hint AS ends_with, c.created_by, c.changed_at FROM"
    " public.routing_credential c JOIN public.routing_provider p ON p.id = c.provider_id"
    " WHERE c.tenant_id = %(tenant)s ORDER BY c.id",
    "policy_version": "SELECT p.slug, p.name, number, number = active_version AS active, text, note, author,"
    " v.created_at, activated_at FROM public.routing_policyversion v JOIN public.routing_policy p ON p.id = v.policy_id"
    " WHERE p.tenant_id = %(tenant)s ORDER BY p.slug, number",
    "route": "SELECT r.name, r.path, a.name AS alias_of, p.slug AS policy, r.sticky, r.enabled,"
    " (SELECT coalesce(json_agg(json_build_object('deployment', d.slug, 'position', position, 'share', share)"
    " ORDER BY position), '[]')"
    " FROM public.routing_routecandidate c JOIN public.routing_deployment d ON d.id = c.deployment_id"
    " WHERE c.route_id = r.id) AS candidates FROM public.routing_route r"
    " LEFT JOIN public.routing_route a ON a.id = r.alias_of_id LEFT JOIN public.routing_policy p ON p.id = r.policy_id"
    " WHERE r.tenant_id = %(tenant)s ORDER BY r.id",
}
OF_SCHEMA = {
    "trace": ("traces_trace", "*"),
    "usage": ("traces_usage", "*"),
    "attempts": ("traces_attempts", "*"),
    "shadow_pair": ("shadows_shadowpair", "*"),
    "semantic_entry": (
        "caching_semanticentry",
        "id, created_at, expires_at, question, answer, source_trace, policy, policy_version, deployment, model, hits,"
        " last_hit_at",
    ),
    "dataset": ("evals_dataset", "*"),
    "dataset_version": ("evals_datasetversion", "*"),
    "dataset_item": ("evals_item", "*"),
    "eval_run": ("evals_run", "*"),
    "eval_result": ("evals_result", "*"),
}


def record_export(tenant: Tenant) -> None:
    """In the audit log, before anything goes out."""
    record(action=AuditEntry.Action.EXPORTED, object="tenants_tenant", name=tenant.slug, tenant=tenant)


async def export_lines(tenant: Tenant) -> AsyncIterator[bytes]:
    """Pieces of whole lines: configuration, traces, hourly usage, stored answers, evals.

    Raises psycopg.Error and redis.RedisError; what came until then is not the whole.
    """
    async with await psycopg.AsyncConnection.connect(settings.DATABASE_URL) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        for kind, statement in _statements(tenant.schema_name).items():
            async for piece in _rows(connection, kind, statement, {"tenant": tenant.pk}):
                yield piece
    async for piece in _exact_answers(tenant):
        yield piece


def _statements(schema: str) -> dict[str, sql.Composable]:
    found: dict[str, sql.Composable] = {kind: sql.SQL(cast(Any, text)) for kind, text in OF_TENANT.items()}
    for kind, (table, columns) in OF_SCHEMA.items():
        found[kind] = sql.SQL("SELECT {} FROM {}").format(sql.SQL(cast(Any, columns)), sql.Identifier(schema, table))
    return found


async def _rows(
    connection: "psycopg.AsyncConnection[Any]", kind: str, statement: sql.Composable, values: dict[str, Any]
) -> AsyncIterator[bytes]:
    head = b'{"kind":%b,"row":' % orjson.dumps(kind)
    async with connection.cursor(name="export", binary=False) as cursor:
        await cursor.execute(sql.SQL("SELECT row_to_json(found)::text FROM ({}) AS found").format(statement), values)
        while page := await cursor.fetchmany(PAGE):
            yield b"".join(b"%b%b}\n" % (head, row.encode()) for (row,) in page)


async def _exact_answers(tenant: Tenant) -> AsyncIterator[bytes]:
    async with Redis.from_url(settings.REDIS_URL) as client:
        async for key in client.scan_iter(f"relay:{{{tenant.slug}}}:exact:*", count=PAGE):
            stored = load(await client.get(key) or b"")
            if stored is not None:
                facts = {name: getattr(stored, name) for name in stored.__slots__ if name != "answer"}
                row = orjson.dumps({**facts, "answer": orjson.Fragment(stored.answer)})
                yield b'{"kind":"exact_answer","row":%b}\n' % row
