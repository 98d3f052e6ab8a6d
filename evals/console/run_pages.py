"""Runs in the console: the list with its progress, one run with its figures, and new ones."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from evals import runs
from evals.console.forms import RunForm
from evals.console.frame import choose_tenant, editor_of, page
from evals.console.run_report import ORDERS, progress_json, report_of
from evals.keys import close_door, key_of
from evals.models import DatasetVersion, Run
from evals.tasks import send
from tenants.page import is_platform_staff, with_tenant
from traces.viewer.access import seer_of, tenant_of

NEWEST = 50
MOST_WATCHED = 50


@require_GET
@never_cache
def run_list(request: HttpRequest) -> HttpResponse:
    if tenant_of(request) is None:
        return choose_tenant(request, "Eval runs")
    seer = seer_of(request)
    newest = list(Run.objects.select_related("version__dataset")[:NEWEST])
    progress = runs.progress_of(newest)
    rows = [{"run": run, "progress": progress[run.pk]} for run in newest]
    live = ",".join(str(run.pk) for run in newest if progress[run.pk].open)
    context = {"rows": rows, "live": live, "seer": seer, "datasets": DatasetVersion.objects.exists()}
    return page(request, "evals/runs.html", "Eval runs", **context)


@require_GET
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """How far the runs named by ``?runs=1,2`` are; of another tenant's there is nothing to say."""
    seer_of(request)
    asked = [int(pk) for pk in request.GET.get("runs", "").split(",") if pk.isdecimal() and len(pk) < 19]
    found = list(Run.objects.filter(pk__in=asked[:MOST_WATCHED]))
    return JsonResponse({str(pk): progress_json(one) for pk, one in runs.progress_of(found).items()})


@require_GET
@never_cache
def run_page(request: HttpRequest, pk: int) -> HttpResponse:
    seer = seer_of(request)
    run = get_object_or_404(Run.objects.select_related("version__dataset", "baseline"), pk=pk)
    order = request.GET.get("order", "")
    report = report_of(run, order=order if order in ORDERS else "worst", prompts=seer.prompts)
    candidates = list(run.candidates.all()[:10])
    context = {"run": run, "report": report, "orders": ORDERS, "candidates": candidates, "seer": seer}
    return page(request, "evals/run.html", run.name, **context)


@require_POST
@never_cache
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    seer = editor_of(request)
    run = get_object_or_404(Run, pk=pk)
    if runs.cancel_run(run):
        close_door(key_of(seer.tenant, run).key_id)  # its worker does so too, if it lives
        messages.success(request, "Cancelled. What was answered so far is kept.")
    else:
        messages.info(request, "It was over already.")
    return redirect(with_tenant(request, reverse("evals-console:run", args=[pk])))


@never_cache
def new_run(request: HttpRequest) -> HttpResponse:
    if tenant_of(request) is None:
        return choose_tenant(request, "Eval runs")
    seer = editor_of(request)
    staff = is_platform_staff(request)
    form = RunForm(request.POST or None, tenant=seer.tenant, staff=staff, initial=_initial(request))
    if request.method == "POST" and form.is_valid():
        try:
            who = str(request.user)
            run = runs.create_run(tenant=seer.tenant, wanted=form.wanted(), created_by=who, staff=staff)
        except ValidationError as error:
            form.take(error)
        else:
            send(seer.tenant, run)
            return redirect(with_tenant(request, reverse("evals-console:run", args=[run.pk])))
    context = {"form": form, "seer": seer, "datasets": DatasetVersion.objects.exists()}
    return page(request, "evals/run_new.html", "New eval run", **context)


def _initial(request: HttpRequest) -> dict[str, Any]:
    """``?from=``: as another run, which is its baseline; ``?dataset=``: a version."""
    asked = request.GET.get("from", "")
    other = Run.objects.filter(pk=int(asked)).first() if asked.isdecimal() and len(asked) < 19 else None
    if other is None:
        return {"version": request.GET.get("dataset", ""), "cache": Run.Cache.OFF}
    kept = {name: getattr(other, name) for name in ("version", "route", "repetitions", "concurrency", "cache")}
    words = [
        ":".join([one["name"], *(f"{key}={value}" for key, value in one.items() if key != "name")])
        for one in other.scorers
    ]
    baseline = other.baseline or (other if other.state == Run.State.DONE else None)
    return {
        **kept,
        "policy": f"{other.policy}@{other.policy_version}",
        "scorers": ", ".join(words),
        "baseline": baseline,
    }
