"""The page of quotas: what is used of each now, and taking it off by hand."""

import time
from datetime import UTC, datetime
from typing import Any, ClassVar

import redis
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.views import ChangeList

from tenants.auth import limit_of
from tenants.console import TenantChangeList, TenantOwnedAdmin
from tenants.models import Quota, QuotaReset
from tenants.page import pill, when, with_tenant
from tenants.resets import CountersAway, named, reset
from tenants.usage import Use, uses

UNITS = {Quota.Metric.REQUESTS: "requests", Quota.Metric.TOKENS: "tokens"}
NEARLY = 80  # percent from which a meter warns
CENT = 10_000  # micro-dollars


class QuotaChangeList(TenantChangeList):
    """One question to the counters for all rows of the page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: list[Any] = list(self.result_list)
        found = uses([limit_of(quota) for quota in self.result_list])
        for quota, use in zip(self.result_list, found or (), strict=False):
            quota.use = use


class QuotaAdmin(TenantOwnedAdmin):
    fields: ClassVar = ["api_key", "metric", "window", "timezone", "limit", "hard"]
    list_display: ClassVar = ["what", "applies_to", "used", "resets", "runs_out", "when_over"]
    list_select_related: ClassVar = ["api_key", "tenant"]
    search_fields: ClassVar = ["api_key__name"]
    list_before_template = "tenants/quota_list_head.html"
    change_form_outer_before_template = "tenants/quota_head.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return QuotaChangeList

    @admin.display(description="Limit", ordering="limit")
    def what(self, quota: Quota) -> str:
        return f"{amount(quota, quota.limit)} a {quota.window}"

    @admin.display(description="Counts", ordering="api_key__name")
    def applies_to(self, quota: Quota) -> str:
        return quota.api_key.name if quota.api_key else "all keys together"

    @admin.display(description="Used now")
    def used(self, quota: Quota) -> SafeString | str:
        use: Use | None = getattr(quota, "use", None)
        if use is None:
            return "–"
        tone = "failed" if use.percent >= 100 else "limited" if use.percent >= NEARLY else "ok"
        return format_html(
            '{} of {}<div class="relay-meter relay-meter--{}" role="meter" aria-valuenow="{}" aria-valuemin="0"'
            ' aria-valuemax="100" aria-label="Used"><span style="width:{}%"></span></div>',
            amount(quota, use.left.used),
            amount(quota, quota.limit),
            tone,
            use.percent,
            use.percent,
        )

    @admin.display(description="Starts anew")
    def resets(self, quota: Quota) -> SafeString | str:
        use: Use | None = getattr(quota, "use", None)
        zone = "" if quota.timezone == "UTC" else f" ({quota.timezone})"
        return "–" if use is None else format_html("{}{}", when(datetime.fromtimestamp(use.counter.end, UTC)), zone)

    @admin.display(description="Projected run-out")
    def runs_out(self, quota: Quota) -> SafeString | str:
        use: Use | None = getattr(quota, "use", None)
        if use is None:
            return "–"
        if use.percent >= 100:
            return "used up"
        return "not before that" if use.runs_out_at is None else when(datetime.fromtimestamp(use.runs_out_at, UTC))

    @admin.display(description="When it is reached", ordering="hard")
    def when_over(self, quota: Quota) -> SafeString:
        return pill("failed", "block", "Refuse") if quota.hard else pill("limited", "flag", "Only mark")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.reset_view)
        return [path("<path:object_id>/reset/", view, name="tenants_quota_reset"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        quota = self.get_object(request, object_id)
        page: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **self._facts(request, quota)}
        )
        return page

    def reset_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        quota = self.get_object(request, object_id)
        if quota is None or not self.has_change_permission(request, quota):
            raise Http404("Nothing here has this address.")
        page = with_tenant(request, reverse("admin:tenants_quota_change", args=[quota.pk]))
        if request.method == "POST":
            self._reset(request, quota, request.POST.get("note", ""))
            return HttpResponseRedirect(page)
        context = {
            **self.admin_site.each_context(request),
            **self._facts(request, quota),
            "opts": self.opts,
            "original": quota,
            "title": f"Reset {quota}?",
            "back_url": page,
        }
        return TemplateResponse(request, "tenants/quota_reset.html", context)

    def _reset(self, request: HttpRequest, quota: Quota, note: str) -> None:
        try:
            rows = reset(limits=[named(quota)], author=request.user.get_username(), now=time.time(), note=note)
        except (redis.RedisError, CountersAway):
            self.message_user(request, "The counters are away; nothing was reset. Try again soon.", messages.ERROR)
            return
        if rows:
            said = f"{amount(quota, rows[0].amount)} taken off."
            self.log_change(request, quota, f"Reset: {said}")
            self.message_user(request, said)
        else:
            self.message_user(request, "Nothing was used of it.", messages.INFO)

    def _facts(self, request: HttpRequest, quota: Quota | None) -> dict[str, Any]:
        """What the pages of one quota show of it."""
        if quota is None:
            return {}
        for use in uses([limit_of(quota)]) or ():
            quota.use = use  # type: ignore[attr-defined]
        made = QuotaReset.objects.filter(limit_key=limit_of(quota).name, tenant=quota.tenant)[:10]
        return {
            "quota": quota,
            "used": self.used(quota),
            "starts_anew": self.resets(quota),
            "runs_out": self.runs_out(quota),
            "resets_made": [(when(row.created_at), row.author, amount(quota, row.amount), row.note) for row in made],
            "may_reset": self.has_change_permission(request, quota),
            "reset_url": with_tenant(request, reverse("admin:tenants_quota_reset", args=[quota.pk])),
        }


def amount(quota: Quota, number: int) -> str:
    if quota.metric == Quota.Metric.COST:
        return f"${number / 1_000_000:,.{2 if number >= CENT or not number else 6}f}"
    return f"{number:,} {UNITS[Quota.Metric(quota.metric)]}"
