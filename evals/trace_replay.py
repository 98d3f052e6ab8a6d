"""“What would the plan be under version N?”: one trace's decision made again, beside what was recorded."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib.admin import site
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from evals.core.plan_differences import Row, differences, reasons_beside
from evals.replays import COLUMNS, Told, replayer_of, version_of
from routing.core.policy import PolicyInvalid
from routing.core.replay import NotRecorded, Outcome, decide, is_as_recorded
from routing.core.what_if_order import what_would_flip
from routing.models import Policy, PolicyVersion
from tenants.models import Tenant
from tenants.page import with_tenant
from traces.models import Trace
from traces.viewer.access import seer_of

VERSIONS_SHOWN = 50


@require_GET
@never_cache
def trace_replay(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Prompts are not read, so whoever may see the trace may see this."""
    seer = seer_of(request)
    trace = get_object_or_404(Trace.objects.values("policy", *COLUMNS), pk=pk)
    told, policy = Told(seer.tenant.slug, trace), policy_of(trace, seer.tenant)
    versions = list(policy.versions.defer("text").order_by("-number")[:VERSIONS_SHOWN]) if policy else []
    number = _number(request.GET.get("version", ""), policy)
    context = {
        **site.each_context(request),
        "title": "Replay of a trace",
        "subtitle": seer.tenant.name,
        "trace_id": pk,
        "trace": trace,
        "policy": policy,
        "versions": versions,
        "number": number,
        "back_url": with_tenant(request, reverse("traces:detail", args=[pk])),
        **(shown(told, policy, number) if policy and number else {"problem": "Its policy is no longer there."}),
    }
    return TemplateResponse(request, "evals/trace_replay.html", context)


def policy_of(trace: Mapping[str, Any], tenant: Tenant) -> Policy | None:
    """The tenant's, or the platform's of that name, as the trace says; if it says nothing, as requests find it now."""
    inputs = trace["inputs_json"]
    owners = (tenant, None) if inputs is None else (tenant,) if inputs.get("own") else (None,)
    found = (Policy.objects.filter(slug=trace["policy"], tenant=owner).first() for owner in owners)
    return next(filter(None, found), None)


def _number(said: str, policy: Policy | None) -> int | None:
    """The version that was asked for, or the active one; 404 if there is no such."""
    if not said or policy is None:
        return policy.active_version if policy else None
    if not (said.isdecimal() and len(said) < 10 and policy.versions.filter(number=int(said)).exists()):
        raise Http404("No such version.")
    return int(said)


def shown(told: Told, policy: Policy, number: int) -> dict[str, Any]:
    """Both plans with what differs, or the problem that keeps it from being said."""
    if told.row["inputs_json"] is None:
        return {"problem": "This trace does not hold the inputs of its decision: it was made before they were kept."}
    rows = {row.number: row for row in policy.versions.filter(number__in=(number, told.row["policy_version"]))}
    recorded, replayer = told.recorded, replayer_of([told])
    try:
        decision = replayer.decision(recorded, version_of(rows[number]))
        again = _again(rows.get(told.row["policy_version"]), told)
    except NotRecorded as error:
        return {"problem": str(error)}
    except PolicyInvalid:
        return {"problem": f"v{number} is not a valid policy, so it makes no plan."}
    new = decide(decision)
    plan = new.plan.as_json() if new.plan is not None else {}
    rows_of_both: Sequence[Row] = differences(recorded.plan or {}, plan)
    return {
        "identical": again is not None and is_as_recorded(recorded, again),
        "refused": new.refused,
        "was_refused": recorded.plan is None,
        "differences": rows_of_both,
        "changed": sum(row.changed for row in rows_of_both),
        "reasons": reasons_beside(recorded.reasons, new.plan.decision_trace() if new.plan else []),
        "flips": what_would_flip(decision, new.plan) if new.plan is not None else [],
    }


def _again(version: PolicyVersion | None, told: Told) -> Outcome | None:
    """Made again under the version that made it; None if that is gone."""
    if version is None:
        return None
    return decide(replayer_of([told]).decision(told.recorded, version_of(version)))
