"""The form that starts a shadow."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone

from routing.trial_form import TrialForm

MICRO = 1_000_000


class StartForm(TrialForm):
    route_help = "Whose requests are copied, after their answers were sent."
    candidate_help = "Who gets the copies: a deployment, or whom another version of the route's policy would ask."

    percent = forms.FloatField(
        label="Percent of requests", min_value=0.01, max_value=100, initial=10, help_text="Drawn request by request."
    )
    dollars = forms.FloatField(
        label="Dollars a day",
        min_value=0,
        max_value=1_000_000,
        initial=1,
        help_text="Most that the copies may cost a day (UTC). 0 will do for a candidate without a price.",
    )
    concurrent = forms.IntegerField(
        label="Copies at once", min_value=1, max_value=64, initial=4, help_text="What comes beyond them is dropped."
    )
    days = forms.FloatField(
        label="For days", min_value=0.01, max_value=365, required=False, help_text="Empty: until it is stopped."
    )
    similarity = forms.BooleanField(
        label="Compare answers by meaning",
        required=False,
        help_text="Takes some milliseconds of this server's processor for each pair; short answers only.",
    )

    def wanted(self) -> dict[str, Any]:
        """As ``start_shadow`` takes it."""
        data = self.cleaned_data
        kept = {name: data[name] for name in ("route", "percent", "concurrent", "similarity")}
        until = timezone.now() + timedelta(days=data["days"]) if data["days"] else None
        budget = round(data["dollars"] * MICRO)
        return {**kept, "candidate": self.tried(), "budget_microusd": budget, "until": until}
