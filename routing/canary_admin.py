"""The console's pages of canaries: the list, starting one, and the page of one with its evidence and its verbs."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from routing.canaries import NoLiveCanary, NotAdvanced, advance, pause, resume, roll_back, start_canary
from routing.canary_form import StartForm
from routing.canary_page import page_of, seen_of
from routing.models import Canary
from routing.trial_admin import TrialAdmin
from tenants.page import current_tenant, is_platform_staff, pill, when, with_tenant

PILLS = {
    Canary.State.RUNNING: ("running", "play_arrow"),
    Canary.State.HELD: ("warning", "front_hand"),
    Canary.State.PAUSED: ("warning", "pause"),
    Canary.State.ROLLED_BACK: ("failed", "undo"),
    Canary.State.DONE: ("ok", "check"),
}
VERBS = ("advance", "pause", "resume", "rollback")


class CanaryAdmin(TrialAdmin):
    list_display: ClassVar = ["candidate", "on", "state_now", "way", "seen", "started", "by"]
    list_before_template = "routing/canary_list_head.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Canary]":
        return super().get_queryset(request).select_related("evidence", "scoring")

    def get_urls(self) -> list[URLPattern]:
        verbs: dict[str, Callable[..., HttpResponse]] = {
            "advance": self.advance_view,
            "pause": partial(self._act, verb=pause),
            "resume": partial(self._act, verb=resume),
            "rollback": self.rollback_view,
        }
        own = [
            path(f"<int:pk>/{name}/", self.admin_site.admin_view(require_POST(view)), name=f"routing_canary_{name}")
            for name, view in verbs.items()
        ]
        return [*own, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Http404
        form = StartForm(request.POST or None, tenant=current_tenant(request), staff=is_platform_staff(request))
        if request.method == "POST" and form.is_valid():
            try:
                row = start_canary(**form.wanted(), by=request.user.get_username())
            except ValidationError as error:
                form.take(error)
            else:
                messages.success(request, f"{row.name} takes {row.share} % of {row.route.name} within a second.")
                return HttpResponseRedirect(self.address(request, row))
        context = {**self.admin_site.each_context(request), "title": "Start a canary", "form": form, "opts": self.opts}
        context["back_url"] = with_tenant(request, reverse("admin:routing_canary_changelist"))
        return TemplateResponse(request, "routing/canary_start.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        canary = self.get_object(request, object_id)
        if canary is None or not self.has_view_permission(request, canary):
            raise Http404("Nothing here has this address.")
        context = {
            **self.admin_site.each_context(request),
            "title": str(canary),
            "opts": self.opts,
            "canary": canary,
            "page": page_of(canary),
            "state_pill": self.state_now(canary),
            "may_act": canary.live and self.has_change_permission(request, canary),
            "urls": {name: self.address(request, canary, name) for name in VERBS},
        }
        return TemplateResponse(request, "routing/canary.html", context)

    def advance_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._act(request, pk, partial(advance, force=request.POST.get("force") == "1"))

    def rollback_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._act(request, pk, partial(roll_back, note=request.POST.get("note", "")[:300]))

    def _act(self, request: HttpRequest, pk: int, verb: Any) -> HttpResponse:
        canary = self.get_queryset(request).filter(pk=pk).first()
        if canary is None or not self.has_change_permission(request, canary):
            raise Http404("Nothing here has this address.")
        try:
            row = verb(canary=canary, by=request.user.get_username())
        except (NotAdvanced, NoLiveCanary) as error:
            messages.warning(request, str(error))
        else:
            messages.success(request, f"{row.get_state_display()}. In force everywhere within a second.")
        return HttpResponseRedirect(self.address(request, canary))

    @admin.display(description="Candidate")
    def candidate(self, canary: Canary) -> str:
        return canary.name

    @admin.display(description="Route")
    def on(self, canary: Canary) -> str:
        return f"{canary.route.name} ({canary.route.tenant.name if canary.route.tenant else 'everybody'})"

    @admin.display(description="State")
    def state_now(self, canary: Canary) -> SafeString:
        kind, icon = PILLS[Canary.State(canary.state)]
        share = f" at {canary.share} %" if canary.live else ""
        return pill(kind, icon, f"{canary.get_state_display()}{share}")

    @admin.display(description="Stages")
    def way(self, canary: Canary) -> SafeString:
        return format_html('<span class="relay-muted">{} %</span>', " → ".join(map(str, canary.stages)))

    @admin.display(description="Candidate failed")
    def seen(self, canary: Canary) -> str:
        return seen_of(canary)

    @admin.display(description="Started")
    def started(self, canary: Canary) -> SafeString | str:
        return when(canary.started_at)

    @admin.display(description="By")
    def by(self, canary: Canary) -> str:
        return canary.started_by or "–"
