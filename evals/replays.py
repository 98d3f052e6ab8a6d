"""Replays of recent traces: read from the tenants' schemas, decided anew, compared (ORM; nobody is called)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet, Sum
from django.utils import timezone
from django_tenants.utils import tenant_context

from evals.core.prediction import Latencies, Seen
from evals.core.replay_cases import Case, side_of
from evals.core.replay_report import NO_OTHERS, report
from evals.gating import DEFAULT
from evals.models import GateRule
from routing.contexts import documents_of
from routing.core.replay import Contexts, NotRecorded, Outcome, Recorded, Replayer, Version, decide, is_as_recorded
from routing.documents import saved_policy
from routing.models import Policy, PolicyVersion
from routing.planning import minutes_of_day
from tenants.models import Tenant
from traces.models import Trace, Usage
from traces.viewer.lenient import mapping, number

SAMPLE = 1_000
CALLS = 200  # recent calls that stand for a deployment which the sample does not know
HOUR = timedelta(hours=1)
RULES = {"p95_latency": "p95", "cost": "cost"}  # metric of a gate's rule -> measure of the report
COLUMNS = (
    *("id", "started_at", "route", "policy_version", "inputs_json", "plan_json", "decision_trace_json", "cache_json"),
    *("deployment", "latency_ms", "backend_latency_ms", "tokens_in", "tokens_out", "cache"),
)


@dataclass(frozen=True, slots=True)
class Told:
    """A trace of a tenant, by the names of COLUMNS."""

    tenant: str
    row: dict[str, Any]

    @property
    def recorded(self) -> Recorded:
        return Recorded(self.row["inputs_json"], self.row["plan_json"], self.row["decision_trace_json"] or ())

    @property
    def seen(self) -> Seen:
        row, cached = self.row, mapping(self.row["cache_json"])
        return Seen(
            deployment=row["deployment"],
            latency_ms=row["latency_ms"],
            backend_ms=row["backend_latency_ms"],
            tokens_in=row["tokens_in"],
            tokens_out=row["tokens_out"],
            cache=row["cache"],
            similarity=None if cached.get("refused_because") else number(cached.get("similarity")),
        )


def version_of(version: PolicyVersion) -> Version:
    """Raises PolicyInvalid."""
    policy = version.policy
    return Version(policy.slug, version.number, saved_policy(version.text), own=policy.tenant_id is not None)


def owners_of(policy: Policy) -> list[Tenant]:
    """Whose traces speak for it: its tenant's; for a policy of the platform everybody's."""
    if policy.tenant is not None:
        return [policy.tenant]
    return list(Tenant.objects.exclude(schema_name="public").order_by("slug"))


def sample_of(
    policy: Policy, tenants: Sequence[Tenant], *, limit: int = SAMPLE, since: datetime | None = None
) -> list[Told]:
    """The newest traces of these tenants that the policy planned and whose inputs are recorded, newest first."""
    began = since or _since(policy, tenants, limit)
    newest: list[tuple[datetime, UUID, Tenant]] = []
    for tenant in tenants if began else ():  # whose they are is not known before all were looked at
        with tenant_context(tenant):
            rows = _planned_by(policy).filter(started_at__gte=began).order_by("-started_at", "-id")
            newest += [(at, pk, tenant) for at, pk in rows.values_list("started_at", "id")[:limit]]
    newest.sort(key=lambda one: one[:2], reverse=True)
    chosen: dict[Tenant, list[UUID]] = {}
    for _, pk, tenant in newest[:limit]:
        chosen.setdefault(tenant, []).append(pk)
    found = []
    for tenant, ids in chosen.items():
        with tenant_context(tenant):
            traces = Trace.objects.filter(pk__in=ids, started_at__gte=began)
            found += [Told(tenant.slug, row) for row in traces.values(*COLUMNS)]
    return sorted(found, key=lambda told: (told.row["started_at"], told.row["id"]), reverse=True)


def _planned_by(policy: Policy) -> "QuerySet[Trace]":
    traces = Trace.objects.filter(policy=policy.slug, inputs_json__isnull=False)
    own = {"inputs_json__has_key": "own"}
    return traces.filter(**own) if policy.tenant_id is not None else traces.exclude(**own)


def _since(policy: Policy, tenants: Sequence[Tenant], limit: int) -> datetime | None:
    """From when on there are ``limit`` traces, by the hourly sums: reading back from now through those of other
    policies could take minutes. None: there are none at all. Sums may count what cannot be replayed (the platform's
    policy of the same name, traces from before inputs were recorded), so twice as many are looked for."""
    hours: dict[datetime, int] = {}
    kept = timezone.now() - timedelta(days=settings.RELAY_TRACE_DAYS + 7)
    for tenant in tenants:
        with tenant_context(tenant):
            sums = Usage.objects.filter(policy=policy.slug, sample=False, hour__gte=kept)
            for hour, requests in sums.order_by().values_list("hour").annotate(Sum("requests")):
                hours[hour] = hours.get(hour, 0) + requests
    total = 0
    for hour in sorted(hours, reverse=True):
        total += hours[hour]
        if total >= 2 * limit:
            return hour
    return min(hours, default=None)


def replayer_of(sample: Sequence[Told]) -> Replayer:
    inputs = [mapping(told.row["inputs_json"]) for told in sample]
    digests = {str(one.get(name)) for one in inputs for name in ("lineup", "default") if one.get(name)}
    return Replayer(Contexts(documents_of(digests)), minutes_of_day)


def bounds_of(policy: Policy) -> dict[str, float]:
    """How much worse a version may be: what the tenant's gate “default” says of p95 and cost, for the platform's
    policies and where the gate is silent what the report itself says."""
    if policy.tenant is None:
        return {}
    with tenant_context(policy.tenant):
        rules = GateRule.objects.filter(
            gate__slug=DEFAULT,
            metric__in=RULES,
            direction=GateRule.Direction.AT_MOST,
            measure=GateRule.Measure.CHANGE,
        )
        return {RULES[metric]: bound for metric, bound in rules.values_list("metric", "bound")}


def compare(
    sample: Sequence[Told], old: Version, new: Version, bounds: Mapping[str, float] = NO_OTHERS
) -> dict[str, Any]:
    """The report of ``core.replay_report``, with ``unreadable``: traces that could not be decided anew, and the time
    from ``since`` to ``until`` in which the others began."""
    replayer = replayer_of(sample)
    decided = [(told, found) for told in sample if (found := _both(replayer, told.recorded, (old, new))) is not None]
    latencies = _latencies(sample, [one for _, found in decided for one in found])
    cases = [_case(told, found, latencies) for told, found in decided]
    moments = [told.row["started_at"] for told, _ in decided]
    return report(cases, bounds) | {
        "unreadable": len(sample) - len(decided),
        "since": min(moments).isoformat() if moments else None,
        "until": max(moments).isoformat() if moments else None,
    }


def _both(replayer: Replayer, recorded: Recorded, sides: tuple[Version, Version]) -> tuple[Outcome, Outcome] | None:
    try:
        old, new = (decide(replayer.decision(recorded, version)) for version in sides)
    except NotRecorded:
        return None
    return old, new


def _case(told: Told, found: tuple[Outcome, Outcome], latencies: Latencies) -> Case:
    old, new = (side_of(one, told.seen, latencies) for one in found)
    return Case(told.tenant, str(told.row["id"]), told.row["route"], old, new, plans_differ(*found))


def plans_differ(old: Outcome, new: Outcome) -> bool:
    """Whether anything but the version's number does: also reasons and the order of later candidates."""
    if old.plan is None or new.plan is None:
        return (old.plan is None) != (new.plan is None)
    told = [{**plan.as_json(), "policy_version": 0} for plan in (old.plan, new.plan)]
    return told[0] != told[1] or old.plan.reasons != new.plan.reasons


def _latencies(sample: Sequence[Told], outcomes: Sequence[Outcome]) -> Latencies:
    """From the sample; of deployments that it does not know, from other recent traces of the same tenants."""
    calls: dict[str, list[float]] = {}
    for told in sample:
        if told.row["backend_latency_ms"] is not None:
            calls.setdefault(told.row["deployment"], []).append(told.row["backend_latency_ms"])
    wanted = {one.first.deployment for one in outcomes if one.first is not None} - calls.keys()
    slugs = {told.tenant for told in sample}
    for tenant in Tenant.objects.filter(slug__in=slugs) if wanted else ():
        for deployment in sorted(wanted):
            calls.setdefault(deployment, []).extend(_calls_of(tenant, deployment))
    hits = [told.row["latency_ms"] for told in sample if told.seen.hit]
    return Latencies(calls, hits)


def _calls_of(tenant: Tenant, deployment: str) -> list[float]:
    """The hourly sums say when it was last asked."""
    kept = timezone.now() - timedelta(days=settings.RELAY_TRACE_DAYS)
    with tenant_context(tenant):
        sums = Usage.objects.filter(deployment=deployment, sample=False, hour__gte=kept)
        last = sums.order_by("-hour").values_list("hour", flat=True).first()
        if last is None:
            return []
        rows = Trace.objects.filter(deployment=deployment, started_at__gte=last, started_at__lt=last + HOUR)
        found = rows.exclude(backend_latency_ms=None).values_list("backend_latency_ms", flat=True)[:CALLS]
        return [ms for ms in found if ms is not None]


def differing(policy: Policy, sample: Sequence[Told]) -> Iterator[tuple[Told, str]]:
    """Traces whose decision, made again under the version that made it, is not byte for byte what is recorded, and
    what is known of it."""
    replayer = replayer_of(sample)
    versions = {row.number: version_of(row) for row in policy.versions.filter(number__in=_numbers(sample))}
    for told in sample:
        version = versions.get(told.row["policy_version"])
        try:
            if version is None:
                yield told, "its version of the policy is gone"
            elif not is_as_recorded(told.recorded, decide(replayer.decision(told.recorded, version))):
                yield told, "another plan than the recorded one"
        except NotRecorded as error:
            yield told, str(error)


def _numbers(sample: Sequence[Told]) -> set[int]:
    return {told.row["policy_version"] for told in sample}
