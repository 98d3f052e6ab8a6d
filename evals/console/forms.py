"""The forms of evals: only what the page's tenant has is on offer."""

import random
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import F, Q
from django.utils import timezone

from evals.core.rows import MOST_BYTES, MOST_ROWS, DatasetInvalid, without_reference
from evals.core.scorers import described, scorers_from_words
from evals.datasets import add_version, bundled, import_bundled, read_file
from evals.mining import Wish, mine
from evals.models import DatasetVersion, Run
from evals.runs import MOST_RESULTS, Wanted
from routing.models import PolicyVersion, Route
from tenants.models import SLUG, Tenant
from traces.models import Trace

MOST_CHOICES = 100
Made = tuple[DatasetVersion, bool, str]  # whether it is new, and what else is to be said


class RunForm(forms.Form):
    version = forms.ModelChoiceField(DatasetVersion.objects.none(), label="Data set")
    route = forms.ChoiceField(help_text="The model name that is asked for.")
    policy = forms.ChoiceField(label="Policy version", help_text="Drafts too: live traffic does not get them.")
    repetitions = forms.IntegerField(
        min_value=1, max_value=100, initial=1, help_text=f"How often each prompt is asked; {MOST_RESULTS:,} in all."
    )
    concurrency = forms.IntegerField(min_value=1, max_value=64, initial=4, help_text="Requests at a time.")
    cache = forms.ChoiceField(choices=Run.Cache.choices)
    scorers = forms.CharField(required=False, max_length=500)
    baseline = forms.ModelChoiceField(
        Run.objects.none(),
        required=False,
        empty_label="None: this is a baseline",
        help_text="A finished run of the same data set version to compare with.",
    )
    name = forms.CharField(required=False, max_length=120, help_text="Empty: from the data set and the policy.")

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        usable = Q(tenant=tenant) | Q(tenant=None)
        routes = Route.objects.filter(usable, enabled=True).exclude(name="").order_by("tenant", "name")
        names = dict.fromkeys(routes.values_list("name", flat=True))
        theirs = Q(policy__tenant=tenant) | Q(policy__tenant=None, policy__active_version=F("number"))
        versions = PolicyVersion.objects.filter(theirs).select_related("policy").order_by("-created_at")[:MOST_CHOICES]
        self._field("version").queryset = DatasetVersion.objects.select_related("dataset").order_by("-created_at")
        self._field("baseline").queryset = Run.objects.filter(state=Run.State.DONE).select_related("version__dataset")
        self._field("route").choices = [(name, name) for name in names]
        self._field("policy").choices = [(f"{one.policy.slug}@{one.number}", _told(one)) for one in versions]
        kinds = ", ".join(str(kind["name"]) for kind in described(settings.RELAY_EVAL_SCORERS))
        self._field("scorers").help_text = f"Like “exact, numeric:tolerance=0.01”. There are: {kinds}."

    def _field(self, name: str) -> Any:
        return self.fields[name]

    def wanted(self) -> Wanted:
        data = {**self.cleaned_data}
        policy, _, number = data.pop("policy").partition("@")
        scorers = scorers_from_words(data.pop("scorers"))
        return Wanted(policy=policy, policy_version=int(number), scorers=scorers, **data)

    def take(self, error: ValidationError) -> None:
        """Each problem stands at the field that it is about."""
        for field, problems in error.message_dict.items():
            self.add_error(field if field in self.fields else None, problems)


def _told(version: PolicyVersion) -> str:
    state = "active" if version.policy.active_version == version.number else "not active"
    return f"{version.policy.slug} v{version.number} ({state})"


class NamedForm(forms.Form):
    """``prefix`` tells the forms of one page apart."""

    name = forms.CharField(
        max_length=48, validators=[SLUG], label="Name", help_text="Of the data set. One that exists gets a new version."
    )

    def make(self, author: str) -> Made:
        """Raises DatasetInvalid, ValidationError."""
        raise NotImplementedError


class UploadForm(NamedForm):
    file = forms.FileField(
        help_text=f"JSON lines or CSV (by its ending), at most {MOST_BYTES // 1024**2} MB and {MOST_ROWS:,} rows."
    )

    def make(self, author: str) -> Made:
        file: Any = self.cleaned_data["file"]
        if file.size is None or file.size > MOST_BYTES:
            raise DatasetInvalid([f"It is larger than {MOST_BYTES // 1024**2} MB: split it."])
        rows, missing = (found := read_file(file.file, file.name or "")), without_reference(found)
        version, is_new = add_version(
            slug=self.cleaned_data["name"],
            rows=rows,
            source=DatasetVersion.Source.UPLOAD,
            origin=file.name or "",
            created_by=author,
        )
        told = f"{len(missing):,} rows have no reference (row {missing[0]} is the first)." if missing else ""
        return version, is_new, told


class BundledForm(NamedForm):
    name = forms.ChoiceField(choices=[], label="Data set")  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["name"]
        field.choices = [(name, name) for name in bundled()]

    def make(self, author: str) -> Made:
        return *import_bundled(self.cleaned_data["name"], created_by=author), ""


class MineForm(NamedForm):
    days = forms.IntegerField(min_value=1, max_value=365, initial=7, label="Days", help_text="How far back.")
    route = forms.CharField(required=False, max_length=200, help_text="Only what was asked of this model name.")
    outcome = forms.ChoiceField(required=False, choices=[("", "Any"), *Trace.Outcome.choices])
    task = forms.CharField(required=False, max_length=16, help_text="Only this kind of work: chat, coding …")
    most = forms.IntegerField(
        min_value=1, max_value=5000, initial=100, label="Prompts", help_text="At most; each once."
    )

    def make(self, author: str) -> Made:
        data = self.cleaned_data
        since = timezone.now() - timedelta(days=data["days"])
        wish = Wish(since, data["route"], data["outcome"], data["task"], data["most"])
        mined = mine(wish, random.Random())
        if not mined.rows:
            raise DatasetInvalid([f"No trace with its prompt fits: {wish.words}."])
        version, is_new = add_version(
            slug=data["name"],
            rows=mined.rows,
            source=DatasetVersion.Source.TRACES,
            origin=wish.words,
            created_by=author,
        )
        return version, is_new, mined.words
