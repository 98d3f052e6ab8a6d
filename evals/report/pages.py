"""Pages of comparisons: two runs beside each other, as a gate sees them now or saw them when the verdict was kept."""

import re
from functools import cache
from pathlib import Path
from uuid import UUID

from django.contrib.admin import site
from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from evals.gating import DEFAULT, NotComparable, Verdict, ask, keep, kept
from evals.models import Comparison, Gate, Run
from evals.report.build import Report, report_of
from tenants.access import Role
from tenants.models import Tenant
from tenants.page import current_tenant, may, with_tenant

IN_FILE = 100  # cases in a downloaded report
SHEETS = ("relay/relay.css", "relay/comparison.css")
DARK = re.compile(r"^\.dark (\{[^}]*\})", re.MULTILINE)
# What the console's theme defines and a file that stands alone does not have.
THEME = ":root{--color-base-100:#f1f5f9;--color-base-200:#e2e8f0;--color-base-600:#475569;--color-base-900:#0f172a}"


@require_GET
@never_cache
def compare(request: HttpRequest) -> HttpResponse:
    """``?baseline=RUN&candidate=RUN&gate=SLUG``: what the gate says now."""
    _tenant(request)
    numbers = request.GET.get("baseline", ""), request.GET.get("candidate", "")
    if not any(numbers):
        return HttpResponseRedirect(with_tenant(request, reverse("admin:evals_comparison_changelist")))
    baseline, candidate = (_run(number) for number in numbers)
    gate = get_object_or_404(Gate, slug=request.GET.get("gate") or DEFAULT)
    try:
        verdict = ask(gate, baseline, candidate)
    except NotComparable as problem:
        context = {**site.each_context(request), "title": "Comparison", "problem": str(problem)}
        context["back_url"] = with_tenant(request, reverse("admin:evals_comparison_changelist"))
        return TemplateResponse(request, "evals/not_comparable.html", context, status=409)
    return _page(request, baseline, candidate, verdict, None)


@require_POST
def keep_verdict(request: HttpRequest) -> HttpResponse:
    """An editor keeps what the gate says now, so that it can be linked to after the gate has changed."""
    _tenant(request)
    if not may(request, Role.EDITOR):
        raise Http404("Nothing here has this address.")
    baseline, candidate = (_run(request.POST.get(name, "")) for name in ("baseline", "candidate"))
    gate = get_object_or_404(Gate, slug=request.POST.get("gate", ""))
    try:
        verdict = ask(gate, baseline, candidate)
    except NotComparable:
        raise Http404("Nothing to keep.") from None
    row = keep(verdict, baseline, candidate, by=request.user.get_username())
    return HttpResponseRedirect(with_tenant(request, reverse("evals-compare:kept", args=[row.pk])))


@require_GET
@never_cache
def comparison(request: HttpRequest, pk: UUID) -> HttpResponse:
    _tenant(request)
    row = _comparison(pk)
    return _page(request, row.baseline, row.candidate, kept(row), row)


@require_GET
@never_cache
def download(request: HttpRequest) -> HttpResponse:
    """The same as one file that needs nothing else: no network, no script, no font."""
    tenant = _tenant(request)
    row = None
    if "comparison" in request.GET:
        row = _comparison(_uuid(request.GET["comparison"]))
        baseline, candidate, verdict = row.baseline, row.candidate, kept(row)
    else:
        baseline, candidate = (_run(request.GET.get(name, "")) for name in ("baseline", "candidate"))
        gate = get_object_or_404(Gate, slug=request.GET.get("gate") or DEFAULT)
        try:
            verdict = ask(gate, baseline, candidate)
        except NotComparable as problem:
            raise Http404(str(problem)) from None
    prompts = may(request, Role.ANALYST)
    report = report_of(baseline, candidate, verdict, prompts=prompts, size=IN_FILE)
    context = {"report": report, "prompts": prompts, "tenant": tenant, "comparison": row, "in_file": True}
    context |= {"styles": _styles(), "base_url": request.build_absolute_uri("/").rstrip("/")}
    page = render_to_string("evals/report_file.html", context)
    name = f"relay-{tenant.slug}-run-{candidate.pk}-beside-{baseline.pk}.html"
    return HttpResponse(page, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _page(
    request: HttpRequest, baseline: Run, candidate: Run, verdict: Verdict, row: Comparison | None
) -> TemplateResponse:
    prompts = may(request, Role.ANALYST)
    asked = request.GET.get("page", "1")
    report = report_of(baseline, candidate, verdict, prompts=prompts, page=int(asked) if asked.isdecimal() else 1)
    query = f"comparison={row.pk}" if row else f"baseline={baseline.pk}&candidate={candidate.pk}&gate={verdict.gate}"
    here = reverse("evals-compare:kept", args=[row.pk]) + "?" if row else f"{reverse('evals-compare:now')}?{query}&"
    context = {
        **site.each_context(request),
        "title": f"{candidate.name} beside {baseline.name}",
        "subtitle": current_tenant(request),
        "report": report,
        "prompts": prompts,
        "tenant": current_tenant(request),
        "comparison": row,
        "may_keep": row is None and may(request, Role.EDITOR),
        "gates": _other_gates(request, baseline, candidate, verdict),
        "download_url": with_tenant(request, f"{reverse('evals-compare:file')}?{query}"),
        "back_url": with_tenant(request, reverse("admin:evals_comparison_changelist")),
        "page_links": _page_links(request, here, report),
    }
    return TemplateResponse(request, "evals/compare.html", context)


def _other_gates(request: HttpRequest, baseline: Run, candidate: Run, verdict: Verdict) -> list[tuple[str, str, bool]]:
    """Name, address, and whether it is the one that is shown."""
    address = f"{reverse('evals-compare:now')}?baseline={baseline.pk}&candidate={candidate.pk}&gate="
    gates = Gate.objects.values_list("slug", "name")
    return [(name, with_tenant(request, address + slug), slug == verdict.gate) for slug, name in gates]


def _page_links(request: HttpRequest, here: str, report: Report) -> dict[str, str]:
    """Of the pages of answers before and after this one, where there are such."""
    numbers = {"previous": report.page - 1, "next": report.page + 1}
    links = {name: f"{here}page={number}" for name, number in numbers.items() if 1 <= number <= report.pages}
    return {name: with_tenant(request, link) + "#answers" for name, link in links.items()}


def _tenant(request: HttpRequest) -> Tenant:
    """404 where there is no tenant, or none that this person belongs to."""
    tenant = current_tenant(request)
    if tenant is None or not may(request, Role.VIEWER):
        raise Http404("Choose a tenant.")
    return tenant


def _run(number: str) -> Run:
    runs = Run.objects.select_related("version__dataset")
    return get_object_or_404(runs, pk=int(number) if number.isdecimal() and len(number) < 19 else 0)


def _comparison(pk: UUID | None) -> Comparison:
    rows = Comparison.objects.select_related("baseline__version__dataset", "candidate__version__dataset")
    return get_object_or_404(rows, pk=pk)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@cache
def _styles() -> SafeString:
    """The console's stylesheets, with its dark colours where the reader's system is dark. Our own files, so safe."""
    sheets = [Path(str(finders.find(name))).read_text(encoding="utf-8") for name in SHEETS]
    dark = [f":root {colours}" for colours in DARK.findall(sheets[0])]
    return mark_safe("\n".join([THEME, *sheets, "@media (prefers-color-scheme: dark) {", *dark, "}"]))
