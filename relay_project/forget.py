"""“Forget entry” on the page of a trace: it joins the viewer and the cache, which do not know each other."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from caching.services import forget
from traces.models import Trace
from traces.viewer.access import seer_of
from traces.viewer.lenient import mapping, text
from traces.viewer.selectors import as_uuid


@require_POST
def forget_entry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Deletes the stored answer that this trace was served from, or came near to."""
    seer = seer_of(request)
    if not seer.edits:
        raise Http404("Ask an owner for the role editor.")
    trace = get_object_or_404(Trace.objects.only("cache_json"), pk=pk)
    entry = as_uuid(text(mapping(trace.cache_json).get("entry_id")))
    if entry is not None and forget(schema=seer.tenant.schema_name, entry_id=entry):
        messages.success(request, "The cache entry is forgotten. The next such question asks a model.")
    else:
        messages.info(request, "This cache entry was gone already.")
    return redirect("traces:detail", pk=pk)
