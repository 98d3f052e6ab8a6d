"""The form that starts a canary."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from routing.models import Canary
from routing.trial_form import TrialForm

CANDIDATE_HELP = (
    "A deployment is asked first, and the route's own step in if it fails. A policy version plans instead of the active"
    " one; it becomes active when it has passed, for all routes of that policy."
)


class StartForm(TrialForm):
    route_help = "Whose traffic the candidate takes a share of."
    candidate_help = CANDIDATE_HELP
    sticky = forms.ChoiceField(
        choices=Canary.Sticky.choices,
        initial=Canary.Sticky.CONVERSATION,
        help_text="Who stays on a side. With few keys, the keys may differ more than the candidates do.",
    )
    stages = forms.CharField(max_length=100, help_text="Percentages that rise; after the last one it takes all.")
    window = forms.IntegerField(
        min_value=1, max_value=1_000_000, help_text="Calls of the candidate that each stage needs."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
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
        return {**kept, "candidate": self.tried()}
