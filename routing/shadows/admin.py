"""The console's pages of shadows: the list, starting one, and the page of one with both sides' figures."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from routing.models import Shadow
from routing.shadows.form import StartForm
from routing.shadows.page import newest, page_of, pairs_of, spent_today
from routing.shadows.services import start_shadow, stop_shadow
from routing.trial_admin import TrialAdmin
from tenants.access import Role
from tenants.page import current_tenant, is_platform_staff, may, pill, when, with_tenant
from traces.core.formats import money


@admin.register(Shadow)
class ShadowAdmin(TrialAdmin):
    list_display: ClassVar = ["candidate", "on", "state", "copied", "pairs", "budget", "started", "by"]
    list_before_template = "routing/shadow_list_head.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Shadow]":
        """Staff find those of the platform with every tenant, since that is where the pairs are."""
        rows, tenant = super().get_queryset(request), current_tenant(request)
        if tenant is None or not is_platform_staff(request):
            return rows
        return Shadow.objects.select_related("route__tenant").filter(Q(route__tenant=tenant) | Q(route__tenant=None))

    def get_urls(self) -> list[URLPattern]:
        stop = self.admin_site.admin_view(require_POST(self.stop_view))
        return [path("<int:pk>/stop/", stop, name="routing_shadow_stop"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Http404
        form = StartForm(request.POST or None, tenant=current_tenant(request), staff=is_platform_staff(request))
        if request.method == "POST" and form.is_valid():
            try:
                row = start_shadow(**form.wanted(), by=request.user.get_username())
            except ValidationError as error:
                form.take(error)
            else:
                messages.success(request, f"{row.name} gets copies of {row.percent:g} % of {row.route.name}.")
                return HttpResponseRedirect(self.address(request, row))
        context = {**self.admin_site.each_context(request), "title": "Start a shadow", "form": form, "opts": self.opts}
        context["back_url"] = with_tenant(request, reverse("admin:routing_shadow_changelist"))
        return TemplateResponse(request, "routing/canary_start.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        shadow = self.get_object(request, object_id)
        if shadow is None or not self.has_view_permission(request, shadow):
            raise Http404("Nothing here has this address.")
        chosen = current_tenant(request) is not None
        context = {
            **self.admin_site.each_context(request),
            "title": str(shadow),
            "opts": self.opts,
            "shadow": shadow,
            "page": page_of(shadow),
            "state_pill": self.state(shadow),
            "may_act": shadow.live and self.has_change_permission(request, shadow),
            "stop_url": self.address(request, shadow, "stop"),
            "chosen": chosen,
            "reads": may(request, Role.ANALYST),
            "newest": newest(shadow, prompts=may(request, Role.ANALYST)) if chosen else [],
        }
        return TemplateResponse(request, "routing/shadow.html", context)

    def stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        shadow = self.get_queryset(request).filter(pk=pk).first()
        if shadow is None or not self.has_change_permission(request, shadow):
            raise Http404("Nothing here has this address.")
        if stop_shadow(shadow=shadow):
            messages.success(request, "Stopped. Within a second nothing is copied any more.")
        return HttpResponseRedirect(self.address(request, shadow))

    @admin.display(description="Candidate")
    def candidate(self, shadow: Shadow) -> str:
        return shadow.name

    @admin.display(description="Route")
    def on(self, shadow: Shadow) -> str:
        return f"{shadow.route.name} ({shadow.route.tenant.name if shadow.route.tenant else 'everybody'})"

    @admin.display(description="State")
    def state(self, shadow: Shadow) -> SafeString:
        if shadow.live:
            return pill("running", "play_arrow", "Running")
        return pill("plain", "stop", "Stopped" if shadow.stopped_at else "Over")

    @admin.display(description="Copied")
    def copied(self, shadow: Shadow) -> str:
        return f"{shadow.percent:g} %"

    @admin.display(description="Pairs")
    def pairs(self, shadow: Shadow) -> str:
        return f"{pairs_of(shadow):,} pairs"

    @admin.display(description="Spent today")
    def budget(self, shadow: Shadow) -> SafeString:
        spent = money(spent_today(shadow))
        return format_html('{} <span class="relay-muted">of {}</span>', spent, money(shadow.budget_microusd))

    @admin.display(description="Started")
    def started(self, shadow: Shadow) -> SafeString | str:
        return when(shadow.started_at)

    @admin.display(description="By")
    def by(self, shadow: Shadow) -> str:
        return shadow.started_by or "–"
