"""Erasure: of what people wrote, of one end user, or of a whole tenant. Traces keep their figures unless all goes,
because quotas are counted from them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import redis
from django.conf import settings
from django.db import connection, transaction
from psycopg import sql

from routing.models import Policy, Route
from tenants.audit import record
from tenants.auth import limit_of
from tenants.models import AuditEntry, Quota, Tenant, User
from traces.core.rows import Unreadable, read_entry
from traces.partitions import partitions
from traces.recent import AGAIN, FIELD
from traces.recorder import DEAD, STREAM

PAGE = 500
# The same as a tenant with metadata only never stores (traces.draft).
BLANK = """
UPDATE {part} SET prompt_line = '', reason = CASE WHEN error_code <> '' THEN error_code ELSE reason END,
  request_json = NULL, response_json = NULL,
  cache_json = CASE jsonb_typeof(cache_json) WHEN 'object'
    THEN cache_json || '{{"question": null, "refused_because": null}}' END,
  attempts_json = CASE jsonb_typeof(attempts_json) WHEN 'array' THEN (
    SELECT coalesce(jsonb_agg(CASE jsonb_typeof(one) WHEN 'object' THEN one || '{{"error": null}}' ELSE one END
      ORDER BY number), '[]') FROM jsonb_array_elements(attempts_json) WITH ORDINALITY AS found (one, number))
    ELSE '[]' END
WHERE {which}
"""
HAS_CONTENT = "(prompt_line <> '' OR request_json IS NOT NULL OR response_json IS NOT NULL)"
# A trace that was served from somebody's answer, or came near to it, quotes the question.
QUOTES = """
UPDATE {traces} SET cache_json = cache_json || '{{"question": null, "refused_because": null}}'
WHERE jsonb_typeof(cache_json) = 'object' AND cache_json->>'question' IS NOT NULL
  AND cache_json->>'source_trace' IN (SELECT id::text FROM {traces} WHERE {which})
"""
# What a shadow answered to the same requests.
COPIED = """
UPDATE {pairs} SET answer = '' WHERE answer <> '' AND {which}
"""
# Rows of data sets that were mined from these traces, and what was answered to them.
MINED = (
    """
UPDATE {schema}.evals_result SET answer = '', error = '', remarks = '{{}}', judging = '{{}}' WHERE item_id IN (
  SELECT id FROM {schema}.evals_item WHERE trace_id IN (SELECT id FROM {traces} WHERE {which}))
""",
    """
UPDATE {schema}.evals_item SET reference = '', body = '{{"messages": [{{"role": "user", "content": "[erased]"}}]}}'
WHERE trace_id IN (SELECT id FROM {traces} WHERE {which})
""",
)


@dataclass(frozen=True, slots=True)
class Content:
    """Which content: of traces that began ``before``, of requests whose ``user`` field says so, or of all."""

    before: datetime | None = None
    user: str | None = None

    def which(self, began: str = "started_at") -> sql.Composable:
        found: list[sql.Composable] = [sql.SQL("true")]
        if self.before is not None:
            found.append(sql.SQL("{} < {}").format(sql.Identifier(began), sql.Literal(self.before)))
        return sql.SQL(" AND ").join(found)

    def traces(self) -> sql.Composable:
        mine = sql.SQL("true") if self.user is None else sql.SQL("request_json->>'user' = {}").format(self.user)
        return sql.SQL(" AND ").join([self.which(), sql.SQL(HAS_CONTENT), mine])

    def entries(self, traces: sql.Identifier) -> sql.Composable:
        """Of stored answers: by the trace that they came from, or by their own time."""
        if self.user is None:
            return self.which("created_at")
        return sql.SQL("source_trace IN (SELECT id FROM {} WHERE {})").format(traces, self.traces())

    def pairs(self, traces: sql.Identifier) -> sql.Composable:
        """Of answers of shadows: by the client's trace, or by their own time, which is a little later."""
        if self.user is None:
            return self.which("at")
        return sql.SQL("trace_id IN (SELECT id FROM {} WHERE {})").format(traces, self.traces())


@dataclass(frozen=True, slots=True)
class Erased:
    """What went, or would go: content of traces, answers for like questions, answers for the same question."""

    traces: int
    entries: int
    answers: int


def content_of(tenant: Tenant, content: Content) -> Erased:
    """What ``erase_content`` would erase."""
    traces, entries = _tables(tenant)
    count = sql.SQL("SELECT count(*) FROM {} WHERE {}")
    with connection.cursor() as cursor:
        cursor.execute(count.format(traces, content.traces()))
        found = cursor.fetchone()[0]
        cursor.execute(count.format(entries, content.entries(traces)))
        stored = cursor.fetchone()[0]
    with _client() as client:
        return Erased(found, stored, sum(1 for _ in _answers(client, tenant.slug)))


def erase_content(*, tenant: Tenant, content: Content) -> Erased:
    """Prompts, answers and what quotes them. Answers for exact repetitions all go: they do not say whose they are.

    The traces themselves come last, so that after an error on the way it can be done again. What is still on its way
    to PostgreSQL is not reached.
    """
    _record(tenant, content)
    traces, entries = _tables(tenant)
    with _client() as client:
        answers = _delete(client, _answers(client, tenant.slug))
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DELETE FROM {} WHERE {}").format(entries, content.entries(traces)))
        stored, blanked = cursor.rowcount, 0
        cursor.execute(sql.SQL(COPIED).format(pairs=_pairs(tenant), which=content.pairs(traces)))
        cursor.execute(sql.SQL(QUOTES).format(traces=traces, which=content.traces()))
        for mined in MINED:
            schema = sql.Identifier(tenant.schema_name)
            cursor.execute(sql.SQL(mined).format(schema=schema, traces=traces, which=content.traces()))
        for part in partitions(tenant.schema_name):
            table = sql.Identifier(tenant.schema_name, part.name)
            cursor.execute(sql.SQL(BLANK).format(part=table, which=content.traces()))
            blanked += cursor.rowcount
    return Erased(blanked, stored, answers)


def erase_tenant(*, tenant: Tenant) -> int:
    """All rows, the schema, people who belong to no other tenant, and what Redis holds; how many keys of Redis went.

    Its API keys are refused within a second; what its last requests left behind, ``erase_leftovers`` takes.
    """
    counters = [f"relay:{{ledger}}:{limit_of(quota).name}:*" for quota in _quotas(tenant)]
    people = list(User.objects.filter(memberships__tenant=tenant).values_list("pk", flat=True))
    with transaction.atomic():
        record(action=AuditEntry.Action.ERASED, object="tenants_tenant", name=tenant.slug, what="everything")
        Route.objects.filter(tenant=tenant).delete()
        Policy.objects.filter(tenant=tenant).delete()
        tenant.delete(force_drop=True)
        User.objects.filter(pk__in=people, memberships=None, is_superuser=False).delete()
    with _client() as client:
        gone = sum(_delete(client, client.scan_iter(pattern, count=PAGE)) for pattern in counters)
    return gone + erase_leftovers(slug=tenant.slug)


def erase_leftovers(*, slug: str) -> int:
    """What Redis holds under this slug, also traces that wait; how many. For a tenant that is gone."""
    with _client() as client:
        gone = _delete(client, client.scan_iter(f"relay:{{{slug}}}:*", count=PAGE))
        for stream in (STREAM, DEAD, AGAIN):
            for entries in _pages(client, stream):
                mine = [entry for entry, fields in entries if _is_of(slug, fields)]
                gone += cast(int, client.xdel(stream, *mine)) if mine else 0
    return gone


def _record(tenant: Tenant, content: Content) -> None:
    """In the audit log, before it is done. Whose content it is, is not said: an end user's name is what should go."""
    facts: dict[str, Any] = {} if content.before is None else {"before": content.before.isoformat()}
    facts["what"] = "content" if content.user is None else "content of one end user"
    record(action=AuditEntry.Action.ERASED, object="tenants_tenant", name=tenant.slug, tenant=tenant, **facts)


def _tables(tenant: Tenant) -> tuple[sql.Identifier, sql.Identifier]:
    """Traces, and answers for like questions."""
    schema = tenant.schema_name
    return sql.Identifier(schema, "traces_trace"), sql.Identifier(schema, "caching_semanticentry")


def _pairs(tenant: Tenant) -> sql.Identifier:
    return sql.Identifier(tenant.schema_name, "shadows_shadowpair")


def _quotas(tenant: Tenant) -> Iterable[Quota]:
    return Quota.objects.filter(tenant=tenant).select_related("tenant", "api_key")


def _answers(client: "redis.Redis", slug: str) -> Iterator[bytes]:
    for kind in ("exact", "idempotency"):
        yield from client.scan_iter(f"relay:{{{slug}}}:{kind}:*", count=PAGE)


def _delete(client: "redis.Redis", keys: Iterable[bytes]) -> int:
    return sum(cast(int, client.unlink(key)) for key in keys)


def _pages(client: "redis.Redis", stream: str) -> Iterator[list[tuple[bytes, dict[bytes, bytes]]]]:
    start = "-"
    while found := cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(stream, start, "+", count=PAGE)):
        yield found
        start = f"({found[-1][0].decode()}"


def _is_of(slug: str, fields: Mapping[bytes, bytes]) -> bool:
    try:
        return bool(read_entry(fields.get(FIELD.encode(), b""))["tenant"] == slug)
    except Unreadable:
        return False


def _client() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL)
