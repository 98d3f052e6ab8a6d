"""Data sets in the console: which there are, what is in them, and new ones."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from evals.console.forms import BundledForm, MineForm, NamedForm, UploadForm
from evals.console.frame import choose_tenant, editor_of, page
from evals.core.rows import DatasetInvalid
from evals.datasets import lines_of
from evals.models import Dataset, DatasetVersion
from routing.core.request import prompt_line
from tenants.page import with_tenant
from traces.viewer.access import seer_of, tenant_of

FORMS: dict[str, type[NamedForm]] = {"upload": UploadForm, "bundled": BundledForm, "mine": MineForm}
FIRST_ROWS = 50


@require_GET
@never_cache
def dataset_list(request: HttpRequest) -> HttpResponse:
    if tenant_of(request) is None:
        return choose_tenant(request, "Data sets")
    seer = seer_of(request)
    datasets = list(Dataset.objects.prefetch_related("versions").annotate(runs=Count("versions__runs")))
    return page(request, "evals/datasets.html", "Data sets", datasets=datasets, seer=seer)


@require_GET
@never_cache
def dataset_page(request: HttpRequest, slug: str) -> HttpResponse:
    seer = seer_of(request)
    dataset = get_object_or_404(Dataset, slug=slug)
    versions = list(dataset.versions.annotate(times=Count("runs")))
    asked = request.GET.get("version", "")
    shown = next((one for one in versions if str(one.number) == asked), versions[0] if versions and not asked else None)
    if shown is None:
        raise Http404("There is no such version.")
    items = list(shown.items.all()[:FIRST_ROWS]) if seer.prompts else []
    rows = [{"item": item, "prompt": prompt_line(item.body) or "–"} for item in items]
    return page(
        request,
        "evals/dataset.html",
        dataset.name,
        dataset=dataset,
        versions=versions,
        shown=shown,
        rows=rows,
        seer=seer,
    )


@require_GET
@never_cache
def download(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Whole, because a stream would outlive the schema; a version has at most 32 MB."""
    seer = seer_of(request)
    if not seer.prompts:
        raise Http404("This needs the role analyst.")
    version = get_object_or_404(DatasetVersion, dataset__slug=slug, number=number)
    headers = {"Content-Disposition": f'attachment; filename="{slug}-v{number}.jsonl"'}
    return HttpResponse(b"".join(lines_of(version)), content_type="application/x-ndjson", headers=headers)


@never_cache
def new_version(request: HttpRequest) -> HttpResponse:
    if tenant_of(request) is None:
        return choose_tenant(request, "Data sets")
    seer = editor_of(request)
    chosen, problems = request.POST.get("action", ""), DatasetInvalid([])
    initial = {"name": request.GET.get("name", "")}
    forms: dict[str, Any] = {name: made(prefix=name, initial=initial) for name, made in FORMS.items()}
    if request.method == "POST" and chosen in FORMS:
        form = forms[chosen] = FORMS[chosen](request.POST, request.FILES, prefix=chosen)
        try:
            if form.is_valid():
                version, is_new, told = form.make(str(request.user))
                same = "" if is_new else ": the same content was there already"
                messages.success(request, f"{version}, {version.size:,} rows{same}. {told}")
                return redirect(with_tenant(request, reverse("evals-console:dataset", args=[version.dataset.slug])))
        except DatasetInvalid as error:
            problems = error
        except ValidationError as error:
            problems = DatasetInvalid(error.messages)
    context = {"forms": forms, "chosen": chosen, "problems": problems, "seer": seer}
    return page(request, "evals/dataset_new.html", "New data set", **context)
