"""Gates and kept comparisons in the console. Their rows lie in the tenant's schema, so a tenant must be chosen."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline

from evals.core.gate_words import rule_text, verdict_sentence
from evals.core.metrics import METRICS, metric_of
from evals.gating import DEFAULT, kept, rule_of
from evals.models import Comparison, Gate, GateRule, Run
from tenants.access import Role
from tenants.console import ConsoleAdmin
from tenants.page import current_tenant, may, pill, when, with_tenant

PILLS = {"pass": ("ok", "check"), "fail": ("failed", "close"), "undecided": ("warning", "question_mark")}
MOST_RUNS = 200  # in the choices of the form


class OfTenant(ConsoleAdmin):
    """``write_role`` may change rows, every member may see them."""

    write_role: ClassVar[str] = Role.ADMIN

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Django asks this before it asks for permission; without a tenant there is no table."""
        if current_tenant(request) is None:
            raise Http404("Choose a tenant.")
        return super().get_object(request, object_id, from_field)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return current_tenant(request) is not None and may(request, Role.VIEWER)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and may(request, self.write_role)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and may(request, self.write_role)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and may(request, self.write_role)


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = GateRule
        fields: ClassVar = ["metric", "measure", "direction", "bound", "min_pairs"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "metric" in self.fields:
            self.fields["metric"].help_text = f"{', '.join(METRICS)}, or score: and a scorer’s name (score:similarity)."
            self.fields["direction"].widget.attrs["style"] = "min-width: 7.5rem"


class RuleInline(TabularInline):  # type: ignore[misc]
    model = GateRule
    form = RuleForm
    extra = 0
    hide_title = True
    verbose_name = "rule"
    verbose_name_plural = "Rules, all of which must hold"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.VIEWER)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.ADMIN)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.ADMIN)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, Role.ADMIN)


def _in_words(row: GateRule) -> str:
    return f"{metric_of(row.metric).label} {rule_text(rule_of(row))}"


@admin.register(Gate)
class GateAdmin(OfTenant):
    inlines: ClassVar = [RuleInline]
    fields: ClassVar = ["name", "slug", "confidence"]
    list_display: ClassVar = ["name", "slug", "rules_in_words", "sure"]
    list_before_template = "evals/gate_list_head.html"

    @admin.display(description="Rules")
    def rules_in_words(self, gate: Gate) -> str:
        return "; ".join(_in_words(rule) for rule in gate.rules.all()) or "none yet"

    @admin.display(description="Confidence", ordering="confidence")
    def sure(self, gate: Gate) -> str:
        return f"{gate.confidence:.1%}".replace(".0%", "%")


@admin.register(Comparison)
class ComparisonAdmin(OfTenant):
    list_display: ClassVar = ["what", "result", "said", "gate", "made"]
    list_select_related: ClassVar = ["baseline", "candidate"]
    list_before_template = "evals/comparison_list_head.html"
    search_fields: ClassVar = ["candidate__name", "baseline__name", "candidate__policy"]

    class Media:
        css: ClassVar = {"all": ["relay/comparison.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Nobody edits a verdict: its page is the report."""
        if self.get_object(request, object_id) is None:
            raise Http404("Nothing here has this address.")
        return HttpResponseRedirect(with_tenant(request, reverse("evals-compare:kept", args=[object_id])))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        shown: dict[str, Any] = {}
        if self.has_view_permission(request):
            done = Run.objects.filter(state=Run.State.DONE).select_related("version__dataset")
            shown = {"runs": done[:MOST_RUNS], "gates": Gate.objects.all(), "default_gate": DEFAULT}
            shown["tenant"] = current_tenant(request)
        return super().changelist_view(request, {**(extra_context or {}), **shown})  # type: ignore[no-any-return]

    @admin.display(description="Candidate beside baseline")
    def what(self, row: Comparison) -> SafeString:
        return format_html(
            '{}<br><span class="relay-muted relay-small">beside {}</span>', row.candidate.name, row.baseline.name
        )

    @admin.display(description="Verdict", ordering="verdict")
    def result(self, row: Comparison) -> SafeString:
        return pill(*PILLS[row.verdict], Comparison.Verdict(row.verdict).label)

    @admin.display(description="Why")
    def said(self, row: Comparison) -> str:
        verdict = kept(row)
        return verdict_sentence(verdict.verdict, verdict.rows)

    @admin.display(description="Kept", ordering="created_at")
    def made(self, row: Comparison) -> SafeString | str:
        return when(row.created_at)
