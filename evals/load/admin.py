"""Load runs in the console: for staff, because a load concerns every tenant. Nobody edits what was measured."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from evals.load.charts import charts_of
from evals.load.models import LoadRun
from tenants.console import StaffAdmin
from tenants.page import pill, when
from traces.core.formats import duration


@admin.register(LoadRun)
class LoadRunAdmin(StaffAdmin):
    fields: ClassVar = ["name"]
    list_display: ClassVar = ["name", "started", "result", "count", "latency"]
    search_fields: ClassVar = ["name"]
    list_before_template = "load/loadrun_list_head.html"
    change_form_outer_before_template = "load/loadrun_head.html"

    class Media:
        css: ClassVar = {"all": ["relay/home.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        run = self.get_object(request, object_id) if self.has_view_permission(request) else None
        shown = _shown(run) if run else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})  # type: ignore[no-any-return]

    @admin.display(description="Started", ordering="started_at")
    def started(self, run: LoadRun) -> SafeString | str:
        return when(run.started_at)

    @admin.display(description="Result", ordering="failed")
    def result(self, run: LoadRun) -> SafeString:
        return verdict(run)

    @admin.display(description="Requests", ordering="requests")
    def count(self, run: LoadRun) -> str:
        return f"{run.requests:,}, {run.qps:,.1f} a second"

    @admin.display(description="Latency", ordering="p95_ms")
    def latency(self, run: LoadRun) -> str:
        return f"p50 {duration(run.p50_ms)}, p95 {duration(run.p95_ms)}, p99 {duration(run.p99_ms)}"


def _shown(run: LoadRun) -> dict[str, Any]:
    errors = sorted(run.errors.items(), key=lambda kind_and_times: -kind_and_times[1])  # jsonb keeps no order
    return {"run": run, "charts": charts_of(run.timeline, run.duration_s), "errors_by_count": errors}


def verdict(run: LoadRun) -> SafeString:
    if not run.failed:
        return pill("active", "check", "No errors")
    share = run.failed / run.requests
    return pill("failed" if share > 0.01 else "degraded", "error", f"{run.failed:,} failed ({share:.1%})")
