"""What the forms of canaries and shadows share: only routes of the page's tenant, and only what may be tried there."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from routing.catalogue_admin import deployments_for
from routing.models import Deployment, PolicyVersion, Route
from tenants.models import Tenant

MOST_VERSIONS = 100


class TrialForm(forms.Form):
    """``route_help`` and ``candidate_help`` stand under the two fields."""

    route_help = ""
    candidate_help = ""

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
        self.fields["route"] = forms.ModelChoiceField(routes, help_text=self.route_help)
        choices = [("", "---------"), *groups]
        self.fields["candidate"] = forms.ChoiceField(choices=choices, help_text=self.candidate_help)
        self.order_fields(["route", "candidate"])

    def tried(self) -> Deployment | PolicyVersion:
        return self._tried[self.cleaned_data["candidate"]]

    def take(self, error: ValidationError) -> None:
        """Each problem stands at the field that it is about."""
        for field, problems in error.message_dict.items():
            at = "candidate" if field in ("deployment", "policy_version") else field
            self.add_error(at if at in self.fields else None, problems)
