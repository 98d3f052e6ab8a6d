"""The form that starts a canary: only routes of the page's tenant, and only what may be tried there."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from routing.catalogue_admin import deployments_for
from routing.models import Canary, Deployment, PolicyVersion, Route
from tenants.models import Tenant

MOST_VERSIONS = 100
ROUTE_HELP = "Whose traffic the candidate takes a share of."
CANDIDATE_HELP = (
    "A deployment is asked first, and the route's own step in if it fails. A policy version plans instead of the active"
    " one; it becomes active when it has passed, for all routes of that policy."
)


class StartForm(forms.Form):
    sticky = forms.ChoiceField(
        choices=Canary.Sticky.choices,
        initial=Canary.Sticky.CONVERSATION,
        help_text="Who stays on a side. With few keys, the keys may differ more than the candidates do.",
    )
    stages = forms.CharField(max_length=100, help_text="Percentages that rise; after the last one it takes all.")
    window = forms.IntegerField(
        min_value=1, max_value=1_000_000, help_text="Calls of the candidate that each stage needs."
    )

    def __init__(self, *args: Any, tenant: Tenant | None, staff: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        routes = Route.objects.filter(tenant=tenant, alias_of=None, enabled=True)
        deployments = Deployment.objects.all() if staff else deployments_for(tenant)
        versions = PolicyVersion.objects.filter(policy__routes__in=routes, policy__tenant=tenant).select_related(
            "policy"
        )
        self._tried: dict[str, Deployment | PolicyVersion] = {f"deployment-{row.pk}": row for row in deployments}
        groups = [("Deployments", [(name, str(row)) for name, row in self._tried.items()])]
        tried = {f"version-{row.pk}": row for row in versions.distinct().order_by("-created_at")[:MOST_VERSIONS]}
        tried = {name: row for name, row in tried.items() if row.policy.active_version != row.number}
        groups.append(("Policy versions", [(name, str(row)) for name, row in tried.items()]))
        self._tried |= tried
        self.fields["route"] = forms.ModelChoiceField(routes, help_text=ROUTE_HELP)
        self.fields["candidate"] = forms.ChoiceField(choices=[("", "---------"), *groups], help_text=CANDIDATE_HELP)
        self.order_fields(["route", "candidate"])
        self.fields["stages"].initial = ", ".join(map(str, settings.CANARY_STAGES))
        self.fields["window"].initial = settings.CANARY_WINDOW

    def clean_stages(self) -> list[int]:
        try:
            return [int(one) for one in self.cleaned_data["stages"].split(",")]
        except ValueError:
            raise ValidationError("Whole percentages with commas between them, such as 1, 5, 25.") from None

    def wanted(self) -> dict[str, Any]:
        """As ``start_canary`` takes it."""
        data = self.cleaned_data
        kept = {name: data[name] for name in ("route", "sticky", "stages", "window")}
        return {**kept, "candidate": self._tried[data["candidate"]]}

    def take(self, error: ValidationError) -> None:
        """Each problem stands at the field that it is about."""
        for field, problems in error.message_dict.items():
            at = "candidate" if field in ("deployment", "policy_version") else field
            self.add_error(at if at in self.fields else None, problems)
