"""What the measured requests find: a tenant with a key and quotas, and two routes to the upstream."""

from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO

from django.core.management import call_command
from django.db import connection

from relay_project.bench.load import Server
from routing.models import Deployment, DeploymentLimit, Provider, Route, RouteCandidate
from routing.services import import_policy
from tenants.models import Quota, Tenant
from tenants.services import create_api_key, create_tenant

PLAIN, SEMANTIC, LIMITED = "bench", "bench-semantic", "bench-limited"
POLICY = """\
buckets:
  short: {max_input_tokens: 160, max_output_tokens: 256}
  medium: {max_input_tokens: 600, max_output_tokens: 512}
profiles:
  precise: {temperature: 0.2, top_p: 0.9}
defaults:
  lane: long
  max_tokens: 384
  cache: {exact: true, semantic: false, ttl_s: 3600}
rules:
  - name: fresh
    when: {metadata: {cache: "off"}}
    then: {lane: short, cache: {exact: false}}
  - name: short-questions
    when: {bucket: short}
    then: {tier: fast, lane: short, decoding: precise, max_tokens: 256, cache: {semantic: %s, threshold: 0.999}}
"""


def is_used() -> bool:
    """Whether the database holds anything at all: it may be somebody's."""
    return bool(connection.introspection.table_names())


def quiet_tenant(slug: str) -> Tenant:
    """Its migrations' lines would stand between the figures."""
    with redirect_stdout(StringIO()):
        return create_tenant(slug=slug)


@dataclass(frozen=True, slots=True)
class Callers:
    """The usual one, with two quotas; one with three, and one without any."""

    usual: Server
    limited: Server
    free: Server


def make_rows(*, port: int, upstream: int) -> tuple[Tenant, Callers]:
    call_command("migrate_schemas", verbosity=0)
    tenant = quiet_tenant("bench")
    _, key = create_api_key(tenant=tenant, name="bench")
    for metric, window, limit in (("requests", "minute", 10_000_000), ("tokens", "day", 10_000_000_000)):
        Quota.objects.create(tenant=tenant, metric=metric, window=window, limit=limit, hard=True)
    limited, limited_key = create_api_key(tenant=tenant, name="limited")
    Quota.objects.create(tenant=tenant, api_key=limited, metric="cost", window="month", limit=10**15)
    url = f"http://127.0.0.1:{upstream}/v1"
    provider = Provider.objects.create(slug="bench", name="Bench", base_url=url, allow_private=True)
    deployment = Deployment.objects.create(
        slug="bench",
        provider=provider,
        model="bench-1",
        capacity=64,
        price_in_microusd=150_000,
        price_out_microusd=600_000,
    )
    for name, semantic in ((PLAIN, "false"), (SEMANTIC, "true")):
        version, _ = import_policy(tenant=None, slug=name, text=POLICY % semantic, activated=True)
        route = Route.objects.create(name=name, policy=version.policy)
        RouteCandidate.objects.create(route=route, deployment=deployment)
    _make_limited(deployment)
    _, free_key = create_api_key(tenant=quiet_tenant("free"), name="free")
    return tenant, Callers(Server(port, key), Server(port, limited_key), Server(port, free_key))


def _make_limited(deployment: Deployment) -> None:
    """A route to the same model as a deployment with two limits."""
    policy = Route.objects.get(name=PLAIN).policy
    deployment.pk, deployment.slug = None, LIMITED
    deployment.save()
    for metric, window in (("requests", "day"), ("tokens", "minute")):
        DeploymentLimit.objects.create(deployment=deployment, metric=metric, window=window, limit=10**15)
    route = Route.objects.create(name=LIMITED, policy=policy)
    RouteCandidate.objects.create(route=route, deployment=deployment)
