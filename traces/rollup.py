"""Hourly usage, summed from traces in the transaction that stores them: a trace is in both or in neither, once.

One statement for each table, whatever the source, so that what is summed at once and what is summed later agree.
"""

from collections.abc import Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper
from psycopg import sql

from traces.core.latencies import BUCKETS, PER_DOUBLING

MARGIN_S = 0.001  # PostgreSQL keeps microseconds: what it rounded must still be found
# A client may ask for any name: one that led nowhere is not kept, so that nobody can make endless rows.
SOURCE = """
SELECT date_trunc('hour', started_at, 'UTC') AS hour, sample, api_key, key_id,
  CASE WHEN policy <> '' OR deployment <> '' THEN route ELSE '' END AS route,
  provider, deployment, model, policy, policy_version, lane, cache, outcome, error_code,
  tokens_in, tokens_out, charged_requests, charged_tokens, cost_microusd, saved_microusd, latency_ms, ttft_ms
FROM {traces} WHERE {which}
"""
NAMES = (
    "hour, sample, api_key, key_id, route, provider, deployment, model, policy, policy_version, lane, cache, outcome,"
    " error_code"
)
USAGE = """
INSERT INTO {usage} AS kept (id, {names}, requests, tokens_in, tokens_out, charged_requests, charged_tokens,
  cost_microusd, saved_microusd, latency, ttft)
SELECT md5(concat_ws(E'\\x1f', extract(epoch FROM hour)::bigint, sample, api_key, key_id, route, provider, deployment,
    model, policy, policy_version, lane, cache, outcome, error_code))::uuid AS id, {names}, count(*),
  coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0), sum(charged_requests), sum(charged_tokens),
  sum(cost_microusd), sum(saved_microusd), coalesce(sum({latency}), {none}), coalesce(sum({ttft}), {none})
FROM ({source}) AS stored GROUP BY {names} ORDER BY id
ON CONFLICT (id) DO UPDATE SET requests = kept.requests + excluded.requests,
  tokens_in = kept.tokens_in + excluded.tokens_in, tokens_out = kept.tokens_out + excluded.tokens_out,
  charged_requests = kept.charged_requests + excluded.charged_requests,
  charged_tokens = kept.charged_tokens + excluded.charged_tokens,
  cost_microusd = kept.cost_microusd + excluded.cost_microusd,
  saved_microusd = kept.saved_microusd + excluded.saved_microusd,
  latency = kept.latency + excluded.latency, ttft = kept.ttft + excluded.ttft
"""
ATTEMPTS = """
INSERT INTO {attempts} AS kept (id, hour, provider, deployment, attempts, failed)
SELECT md5(concat_ws(E'\\x1f', extract(epoch FROM hour)::bigint, provider, deployment))::uuid AS id,
  hour, provider, deployment, count(*), count(*) FILTER (WHERE outcome = 'failed')
FROM (
  SELECT date_trunc('hour', started_at, 'UTC') AS hour, attempt->>'deployment' AS deployment,
    coalesce(attempt->>'provider', '') AS provider, attempt->>'outcome' AS outcome
  FROM {traces}, jsonb_array_elements(
    CASE jsonb_typeof(attempts_json) WHEN 'array' THEN attempts_json ELSE '[]' END) attempt
  WHERE {which} AND attempt->>'deployment' IS NOT NULL
) AS tried GROUP BY hour, provider, deployment ORDER BY id
ON CONFLICT (id) DO UPDATE SET attempts = kept.attempts + excluded.attempts, failed = kept.failed + excluded.failed
"""


def roll_up(cursor: CursorWrapper, *, schema: str, ids: Sequence[str], since: float, until: float) -> None:
    """Adds the traces with these ids, which must be new; all began from ``since`` to ``until``, in epoch seconds."""
    which = sql.SQL(
        "started_at BETWEEN to_timestamp(%(since)s) AND to_timestamp(%(until)s) AND id = ANY(%(ids)s::text[]::uuid[])"
    )
    values: dict[str, Any] = {"ids": list(ids), "since": since - MARGIN_S, "until": until + MARGIN_S}
    for statement in statements(schema, which):
        cursor.execute(statement, values)


def statements(schema: str, which: sql.Composable) -> list[sql.Composed]:
    """To add the traces of ``which``, a condition on columns of the table of traces."""
    table = {name: sql.Identifier(schema, f"traces_{name}") for name in ("usage", "attempts")}
    traces = sql.Identifier(schema, "traces_trace")
    source = sql.SQL(SOURCE).format(traces=traces, which=which)
    none = sql.SQL("array_fill(0::real, ARRAY[{}])::public.vector").format(sql.Literal(BUCKETS))
    usage = sql.SQL(USAGE).format(
        usage=table["usage"],
        names=sql.SQL(NAMES),
        source=source,
        none=none,
        latency=_one_hot("latency_ms"),
        ttft=_one_hot("ttft_ms"),
    )
    return [usage, sql.SQL(ATTEMPTS).format(attempts=table["attempts"], traces=traces, which=which)]


def _one_hot(column: str) -> sql.SQL:
    """A vector with a one in the latency's bucket (traces.core.latencies); null stays null."""
    bucket = f"least({BUCKETS - 1}, floor(ln(greatest({column}, 1)) / ln(2::float8) * {PER_DOUBLING})::int)"
    return sql.SQL(
        f"CASE WHEN {column} IS NOT NULL THEN (array_fill(0::real, ARRAY[{bucket}]) || 1::real"
        f" || array_fill(0::real, ARRAY[{BUCKETS - 1} - {bucket}]))::public.vector END"
    )
