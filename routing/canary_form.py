"""The form that starts a canary."""

from dataclasses import replace
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from routing.canary_scores import READERS, USUAL, Wanted
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

    scorer = forms.CharField(required=False, max_length=500)
    score_percent = forms.FloatField(
        label="Percent scored",
        required=False,
        min_value=0.1,
        max_value=100,
        initial=f"{USUAL.percent:g}",
        help_text="Of the candidate's answers, each beside one of the base that was given at about the same time.",
    )
    score_daily = forms.IntegerField(
        label="Pairs a day",
        required=False,
        min_value=1,
        max_value=1_000_000,
        initial=USUAL.daily,
        help_text="At most, by UTC. A judge is asked twice for each pair, on the tenant's account.",
    )
    score_tolerance = forms.FloatField(
        label="Score tolerance",
        required=False,
        min_value=0,
        max_value=0.9,
        initial=USUAL.tolerance,
        help_text="Scores go from 0 to 1. A candidate that is proven to score worse by more than this is taken back.",
    )
    score_least_pairs = forms.IntegerField(
        label="Pairs a stage needs",
        required=False,
        min_value=0,
        max_value=1_000_000,
        initial=USUAL.least_pairs,
        help_text="0: missing scores keep no stage waiting. At 100 % there is no base, so nothing is scored.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["stages"].initial = ", ".join(map(str, settings.CANARY_STAGES))
        self.fields["window"].initial = settings.CANARY_WINDOW
        [(_, described)] = READERS
        scorers = f"Scores a sample of both sides' answers. {described()} Empty: answers are not scored."
        self.fields["scorer"].help_text = scorers

    def clean_stages(self) -> list[int]:
        try:
            return [int(one) for one in self.cleaned_data["stages"].split(",")]
        except ValueError:
            raise ValidationError("Whole percentages with commas between them, such as 1, 5, 25.") from None

    def wanted(self) -> dict[str, Any]:
        """As ``start_canary`` takes it."""
        data = self.cleaned_data
        kept = {name: data[name] for name in ("route", "sticky", "stages", "window")}
        return {**kept, "candidate": self.tried(), "scores": self._scores()}

    def _scores(self) -> Wanted | None:
        """What is left empty is as usual."""
        data = self.cleaned_data
        if not data["scorer"]:
            return None
        given = {name: data[f"score_{name}"] for name in ("percent", "daily", "tolerance", "least_pairs")}
        return replace(USUAL, scorer=data["scorer"], **{name: one for name, one in given.items() if one is not None})
