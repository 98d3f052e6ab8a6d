"""Everything that is wrong now and worth a message, from the same figures that the console shows."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import redis
from django.db import DatabaseError
from django_tenants.utils import tenant_context

from relay_project.alerts.core.conditions import Condition, Found
from relay_project.alerts.models import AlertChannel
from relay_project.overview import deployments_now
from routing.credentials import stored_credentials
from routing.models import Deployment, Provider
from routing.presence import web_processes
from tenants.auth import limit_of
from tenants.models import Quota, Tenant
from tenants.usage import Use, client, uses
from traces.core.periods import HOUR, Period, floor_to
from traces.home.figures import figures
from traces.lag import lag

Topic = AlertChannel.Topic
OPEN_S = 300  # a breaker that is not closed for so long
LAG_S = 60  # how long a trace may wait to be stored
BUDGET = 0.8
REFUSED_CODES = ("http_401", "http_403")


def find(now: float | None = None) -> Found:
    """One source that fails leaves its kinds unknown; the others are still looked at."""
    now = time.time() if now is None else now
    sources: list[tuple[Callable[[float], Iterable[Condition]], set[str]]] = [
        (of_quotas, {Topic.QUOTA, Topic.BUDGET}),
        (of_deployments, {Topic.BREAKER, Topic.BURN, Topic.CREDENTIAL}),
        (of_credentials, {Topic.CREDENTIAL}),
        (of_the_writer, {Topic.WRITER}),
        (of_requests, {Topic.REQUESTS}),
    ]
    conditions: list[Condition] = []
    unknown: set[str] = set()
    for source, kinds in sources:
        try:
            conditions += source(now)
        except (redis.RedisError, DatabaseError, Unknown):
            unknown |= kinds
    return Found(tuple(conditions), frozenset(unknown))


class Unknown(Exception):
    """It cannot be found out just now."""


def of_quotas(now: float) -> list[Condition]:
    rows = list(Quota.objects.select_related("tenant", "api_key"))
    found = uses([limit_of(row) for row in rows], now)
    if found is None:
        raise Unknown
    made = (of_quota(row, use) for row, use in zip(rows, found, strict=True))
    return [condition for condition in made if condition is not None]


def of_quota(row: Quota, use: Use) -> Condition | None:
    used, limit = use.left.used, row.limit
    whose = f"key “{row.api_key.name}”" if row.api_key else "all keys together"
    detail = f"Counts {whose}; starts anew at {datetime.fromtimestamp(use.counter.end, UTC):%Y-%m-%d %H:%M} UTC."
    key = f"quota/{row.pk}/{int(use.counter.start)}"
    if row.hard and used >= limit:
        said = f"Quota spent: {use.left.said}"
        return Condition(key, Topic.QUOTA, row.tenant_id, said, f"Requests over it are refused. {detail}")
    if not row.hard and used > limit:
        said = f"Soft quota passed: {use.left.said}"
        return Condition(key, Topic.QUOTA, row.tenant_id, said, f"It only warns; requests go on. {detail}")
    if row.metric == Quota.Metric.COST and used >= BUDGET * limit:
        said = f"{100 * used // limit} % of a budget is spent: {use.left.said}"
        return Condition(f"budget/{key}", Topic.BUDGET, row.tenant_id, said, detail)
    return None


def of_deployments(now: float) -> list[Condition]:
    """A name like DEPLOYMENT@TENANT is a deployment asked with a tenant's own credential."""
    with client() as redis_:
        processes = web_processes(redis_, now)
    if not processes:
        raise Unknown
    slugs = set(Deployment.objects.values_list("slug", flat=True))
    tenants = set(Tenant.objects.values_list("pk", flat=True))
    found = []
    for name, known in sorted(deployments_now(processes).items()):
        slug, _, account = name.partition("@")
        owner = int(account) if account.isdecimal() else None
        if slug in slugs and (owner is None or owner in tenants):
            found += _of_deployment(slug, owner, known, now)
    return found


def _of_deployment(slug: str, owner: int | None, known: dict[str, Any], now: float) -> list[Condition]:
    name, since, found = f"{slug}@{owner or ''}", known["breaker_since"], []
    if since and any(code in known["why"] for code in REFUSED_CODES):
        said = f"{slug} refuses its credential"
        found.append(Condition(f"refused/{name}", Topic.CREDENTIAL, owner, said, "Its provider answers 401 or 403."))
    if since and now - since >= OPEN_S:
        said = f"{slug} has not been asked normally for over {OPEN_S // 60} minutes"
        found.append(
            Condition(f"breaker/{name}", Topic.BREAKER, owner, said, f"{known['why']}. Others answer instead.")
        )
    if known["burning"]:
        found.append(
            Condition(f"burn/{name}", Topic.BURN, owner, f"{slug} burns its error budget too fast", known["burning"])
        )
    return found


def of_credentials(now: float) -> list[Condition]:
    names = dict(Provider.objects.values_list("pk", "name"))
    return [
        Condition(
            f"sealed/{provider}/{tenant or ''}",
            Topic.CREDENTIAL,
            tenant,
            f"The credential for {names[provider]} cannot be opened",
            "Enter it again in the console; until then it is not used.",
        )
        for (provider, tenant), opened in stored_credentials().items()
        if opened.problem
    ]


def of_the_writer(now: float) -> list[Condition]:
    with client() as redis_:
        behind = lag(redis_, now)
    if behind.oldest_s < LAG_S:
        return []
    detail = f"{behind.waiting:,} wait, the oldest for {behind.oldest_s:,.0f} s. Is `manage.py trace_writer` running?"
    return [Condition("writer", Topic.WRITER, None, "Traces are not being stored", detail)]


def of_requests(now: float) -> list[Condition]:
    """What the home page asks to look after, of this hour and the one before; of tenants that somebody wants to hear
    of."""
    wanted = Tenant.objects.exclude(schema_name="public")
    if not AlertChannel.objects.filter(tenant=None, enabled=True).exists():
        wanted = wanted.filter(alert_channels__enabled=True).distinct()
    moment, found = datetime.fromtimestamp(now, UTC), []
    period = Period(floor_to(moment - HOUR, HOUR), moment, HOUR, steps=2)
    for tenant in wanted:
        with tenant_context(tenant):
            shown = figures(tenant, period, moment).problems
        found += [
            Condition(f"requests/{tenant.pk}/{one.key}", Topic.REQUESTS, tenant.pk, one.title[:200], one.effect)
            for one in shown
            if one.key
        ]
    return found
