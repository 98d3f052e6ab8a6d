"""Recorded traffic for tests: requests that a policy planned, as the pipeline would have kept them."""

import random
from datetime import timedelta
from typing import Any

import orjson
from django.utils import timezone

from conftest import unique
from routing.contexts import keep
from routing.core.candidate import Candidate
from routing.core.evidence import Evidence
from routing.core.features import Features
from routing.core.lineup import document_of, lineup_of
from routing.core.plan import ActivePolicy, Surroundings
from routing.core.recording import Decision, inputs_of
from routing.core.replay import decide
from routing.documents import read_policy
from routing.models import Policy, PolicyVersion
from routing.services import import_policy
from routing.tests.stage import BUCKETS
from tenants.models import Tenant
from traces.store import store_traces
from traces.tests.records import record_of

CHEAP = Candidate("cheap", "groq", "small", 8_000, 100_000, 200_000)
FAST = Candidate("fast", "openai", "large", 128_000, 2_000_000, 8_000_000)
LINEUP = lineup_of([CHEAP, FAST])
KNOWN = {"cheap": Evidence(200, 0.0, 900.0), "fast": Evidence(200, 0.0, 300.0)}
IN_ORDER = BUCKETS + "defaults: {lane: short, max_tokens: 512, cache: {exact: true}}\n"
DEAR = BUCKETS + "defaults: {lane: short, max_tokens: 512, cache: {exact: true}, candidates: [fast, cheap]}\n"
NOBODY = BUCKETS + "defaults: {lane: short, max_tokens: 512, candidates: [cheap]}\n"
SAVING = BUCKETS + "defaults: {lane: long, max_tokens: 40, cache: {exact: true}}\n"


def policy_of(tenant: Tenant | None, text: str = IN_ORDER) -> Policy:
    version, _ = import_policy(tenant=tenant, slug=unique("replayed"), text=text, activated=True)
    return version.policy


def traffic(policy: Policy, tenant: Tenant, number: int, **features: Any) -> list[str]:
    """Ids of so many traces that its active version planned, the oldest first. The same every time."""
    keep({LINEUP.digest: document_of(LINEUP.candidates)})
    chance, version = random.Random(7), policy.versions.get(number=policy.active_version or 0)
    now = timezone.now() - timedelta(minutes=5)
    records = [
        _record(version, tenant, chance, (now + timedelta(milliseconds=index)).timestamp(), features)
        for index in range(number)
    ]
    store_traces(tenant=tenant.slug, schema=tenant.schema_name, records=records)
    return [str(record["id"]) for record in records]


def _record(
    version: PolicyVersion, tenant: Tenant, chance: random.Random, at: float, features: dict[str, Any]
) -> dict[str, Any]:
    policy = version.policy
    given = Decision(
        ActivePolicy(policy.slug, version.number, read_policy(version.text), own=policy.tenant_id is not None),
        Features(**{"model": "auto", "key": "web", "input_tokens": 100, "output_tokens": None, **features}),
        {},
        LINEUP,
        KNOWN,
        Surroundings(at, {"UTC": int(at // 60) % 1440}, "production", chance.random()),
    )
    outcome, inputs = decide(given), inputs_of(given)
    columns: dict[str, Any] = {"started_at": at, "policy": policy.slug, "policy_version": version.number}
    if outcome.plan is None or outcome.first is None:
        return record_of(tenant, **columns, inputs_json={**inputs, "features": given.features}, outcome="rejected")
    took = chance.lognormvariate(6.5, 0.4)
    return record_of(
        tenant,
        **columns,
        inputs_json=inputs,
        plan_json=orjson.loads(orjson.dumps(outcome.plan.as_json())),
        decision_trace_json=outcome.plan.decision_trace(),
        deployment=outcome.first.deployment,
        provider=outcome.first.provider,
        cache="miss",
        latency_ms=took + 3,
        backend_latency_ms=took,
        tokens_in=100,
        tokens_out=chance.randint(20, 200),
        request_json={"messages": [{"role": "user", "content": "a secret question"}]},
    )
