"""The hourly sums of what was stored before there were any."""

from django.db import migrations

USAGE = """
INSERT INTO traces_usage AS kept (id, hour, sample, api_key, key_id, route, provider, deployment, model, policy, policy_version, lane, cache, outcome, error_code, requests, tokens_in, tokens_out, charged_requests, charged_tokens,
  cost_microusd, saved_microusd, latency, ttft)
SELECT md5(concat_ws(E'\\x1f', extract(epoch FROM hour)::bigint, sample, api_key, key_id, route, provider, deployment,
    model, policy, policy_version, lane, cache, outcome, error_code))::uuid AS id, hour, sample, api_key, key_id, route, provider, deployment, model, policy, policy_version, lane, cache, outcome, error_code, count(*),
  coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0), sum(charged_requests), sum(charged_tokens),
  sum(cost_microusd), sum(saved_microusd), coalesce(sum(CASE WHEN latency_ms IS NOT NULL THEN (array_fill(0::real, ARRAY[least(119, floor(ln(greatest(latency_ms, 1)) / ln(2::float8) * 6)::int)]) || 1::real || array_fill(0::real, ARRAY[119 - least(119, floor(ln(greatest(latency_ms, 1)) / ln(2::float8) * 6)::int)]))::public.vector END), array_fill(0::real, ARRAY[120])::public.vector), coalesce(sum(CASE WHEN ttft_ms IS NOT NULL THEN (array_fill(0::real, ARRAY[least(119, floor(ln(greatest(ttft_ms, 1)) / ln(2::float8) * 6)::int)]) || 1::real || array_fill(0::real, ARRAY[119 - least(119, floor(ln(greatest(ttft_ms, 1)) / ln(2::float8) * 6)::int)]))::public.vector END), array_fill(0::real, ARRAY[120])::public.vector)
FROM (
SELECT date_trunc('hour', started_at, 'UTC') AS hour, sample, api_key, key_id,
  CASE WHEN policy <> '' OR deployment <> '' THEN route ELSE '' END AS route,
  provider, deployment, model, policy, policy_version, lane, cache, outcome, error_code,
  tokens_in, tokens_out, charged_requests, charged_tokens, cost_microusd, saved_microusd, latency_ms, ttft_ms
FROM traces_trace WHERE true
) AS stored GROUP BY hour, sample, api_key, key_id, route, provider, deployment, model, policy, policy_version, lane, cache, outcome, error_code ORDER BY id
ON CONFLICT (id) DO UPDATE SET requests = kept.requests + excluded.requests,
  tokens_in = kept.tokens_in + excluded.tokens_in, tokens_out = kept.tokens_out + excluded.tokens_out,
  charged_requests = kept.charged_requests + excluded.charged_requests,
  charged_tokens = kept.charged_tokens + excluded.charged_tokens,
  cost_microusd = kept.cost_microusd + excluded.cost_microusd,
  saved_microusd = kept.saved_microusd + excluded.saved_microusd,
  latency = kept.latency + excluded.latency, ttft = kept.ttft + excluded.ttft
"""
ATTEMPTS = """
INSERT INTO traces_attempts AS kept (id, hour, provider, deployment, attempts, failed)
SELECT md5(concat_ws(E'\\x1f', extract(epoch FROM hour)::bigint, provider, deployment))::uuid AS id,
  hour, provider, deployment, count(*), count(*) FILTER (WHERE outcome = 'failed')
FROM (
  SELECT date_trunc('hour', started_at, 'UTC') AS hour, attempt->>'deployment' AS deployment,
    coalesce(attempt->>'provider', '') AS provider, attempt->>'outcome' AS outcome
  FROM traces_trace, jsonb_array_elements(
    CASE jsonb_typeof(attempts_json) WHEN 'array' THEN attempts_json ELSE '[]' END) attempt
  WHERE true AND attempt->>'deployment' IS NOT NULL
) AS tried GROUP BY hour, provider, deployment ORDER BY id
ON CONFLICT (id) DO UPDATE SET attempts = kept.attempts + excluded.attempts, failed = kept.failed + excluded.failed
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0004_partitions")]

    operations = [migrations.RunSQL(USAGE), migrations.RunSQL(ATTEMPTS)]
