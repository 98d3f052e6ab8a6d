"""Is it still good: datasets, runs of them through a policy version, and what gates say of two runs.

In the schema of the tenant, like its traces, because prompts and answers are in them. Routes, policies, keys and traces
are named, not referenced, so that a report stays true after those change.
"""

import uuid
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from evals.core.rules import problem_with
from tenants.models import SLUG


class Dataset(models.Model):
    slug = models.CharField(max_length=48, unique=True, validators=[SLUG])
    name = models.CharField(max_length=120)
    created_by = models.CharField(max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.name


class DatasetVersion(models.Model):
    """Its items never change: another upload makes another version, so runs of one version can be compared."""

    class Source(models.TextChoices):
        UPLOAD = "upload", "Uploaded"
        BUNDLED = "bundled", "Bundled with Relay"
        TRACES = "traces", "From traces"

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    source = models.CharField(max_length=8, choices=Source)
    origin = models.CharField(max_length=200, blank=True)  # the file's name, or which traces
    digest = models.CharField(max_length=64)  # SHA-256 of the items; the same again is no new version
    size = models.PositiveIntegerField()  # items
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["dataset", "-number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_once")]

    def __str__(self) -> str:
        return f"{self.dataset} v{self.number}"


class Item(models.Model):
    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="items")
    row = models.PositiveIntegerField()  # its number in the source, from 1, as messages about it say it
    body = models.JSONField()  # a chat request without model and stream: {"messages": [...], ...}
    reference = models.TextField(blank=True)  # the right answer; empty: none is known
    answer_schema = models.JSONField(null=True)  # a JSON schema that an answer must satisfy
    category = models.CharField(max_length=80, blank=True)
    trace_id = models.UUIDField(null=True)  # the trace that it was taken from

    class Meta:
        ordering: ClassVar = ["row"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["version", "row"], name="item_row_once")]

    def __str__(self) -> str:
        return f"Row {self.row} of {self.version}"


class Run(models.Model):
    """Every item of a dataset version, ``repetitions`` times, sent through Relay with one version of a policy."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"

    class Cache(models.TextChoices):
        OFF = "off", "Off: every answer is made anew"
        OWN = "own", "Its own: empty when the run begins"

    name = models.CharField(max_length=120)
    version = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="runs")
    route = models.CharField(max_length=200)  # the model name that is asked for
    policy = models.CharField(max_length=48)
    policy_version = models.PositiveIntegerField()
    repetitions = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(100)])
    concurrency = models.PositiveSmallIntegerField(default=4, validators=[MinValueValidator(1), MaxValueValidator(64)])
    cache = models.CharField(max_length=4, choices=Cache, default=Cache.OFF)
    scorers = models.JSONField(default=list)  # [{"name": ..., options}], see ``core.scorers``
    baseline = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="candidates")
    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    error = models.CharField(max_length=500, blank=True)  # why it failed
    expected = models.PositiveIntegerField()  # results when it is done: items x repetitions
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    beat_at = models.DateTimeField(null=True)  # when a worker last said that it works on it
    worker = models.CharField(max_length=36, blank=True)  # which: only its writes count
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]

    def __str__(self) -> str:
        return self.name


class Result(models.Model):
    """What one item got, once. Latencies in ms; null where there was none (no answer, no provider called)."""

    class Outcome(models.TextChoices):
        OK = "ok", "Answered"
        REFUSED = "refused", "Refused"  # the model would not answer
        LIMITED = "limited", "Limited"  # 429 of Relay
        FAILED = "failed", "Failed"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="results")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="results")
    repetition = models.PositiveSmallIntegerField()  # from 1
    outcome = models.CharField(max_length=8, choices=Outcome)
    error = models.CharField(max_length=500, blank=True)
    trace_id = models.UUIDField(null=True)
    answer = models.TextField(blank=True)
    deployment = models.CharField(max_length=64, blank=True)
    cache = models.CharField(max_length=8, blank=True)  # as Trace.cache
    latency_ms = models.FloatField(null=True)
    ttft_ms = models.FloatField(null=True)
    tokens_in = models.PositiveIntegerField(null=True)
    tokens_out = models.PositiveIntegerField(null=True)
    cost_microusd = models.BigIntegerField(default=0)
    traced = models.BooleanField(default=False)  # the figures are those of its trace, not what the client saw
    scores = models.JSONField(default=dict)  # scorer -> 0 (worst) to 1 (best); absent where it had nothing to say
    remarks = models.JSONField(default=dict)  # scorer -> a sentence about its score
    judging = models.JSONField(default=dict)  # judge -> what it was asked, said and used, see ``judge.Judged``
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["item", "repetition"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "item", "repetition"], name="result_once"),
        ]

    def __str__(self) -> str:
        return f"{self.item}, {self.outcome}"


class Gate(models.Model):
    """A named set of rules that a candidate's run must pass beside its baseline's."""

    slug = models.CharField(max_length=48, unique=True, validators=[SLUG])
    name = models.CharField(max_length=120)
    confidence = models.FloatField(default=0.95, validators=[MinValueValidator(0.5), MaxValueValidator(0.999)])
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.name


class GateRule(models.Model):
    """“``metric`` of the candidate may be at most / must be at least ``bound``”, as ``measure`` says: by itself, beside
    the baseline's in percent of it, or as the difference to it."""

    class Direction(models.TextChoices):
        AT_MOST = "at_most", "at most"
        AT_LEAST = "at_least", "at least"

    class Measure(models.TextChoices):
        VALUE = "value", "the candidate's own value"
        CHANGE = "change", "change to the baseline, in percent of it"
        DIFFERENCE = "difference", "difference to the baseline"

    gate = models.ForeignKey(Gate, on_delete=models.CASCADE, related_name="rules")
    metric = models.CharField(max_length=48)  # a name of ``core.metrics``: p95_latency, cost, score:similarity, ...
    direction = models.CharField(max_length=8, choices=Direction)
    measure = models.CharField(max_length=10, choices=Measure)
    bound = models.FloatField(
        help_text="Of a change in percent (10: at most +10%); else in the metric’s unit: ms, tokens, millionths of a"
        " dollar; rates and scores from 0 to 1 (0.02: two points)."
    )
    min_pairs = models.PositiveIntegerField("minimum sample", default=30, validators=[MinValueValidator(2)])

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["gate", "metric", "measure"], name="gate_rule_once"),
            models.CheckConstraint(condition=Q(min_pairs__gte=2), name="gate_rule_sample"),
        ]

    def __str__(self) -> str:
        return f"{self.metric} {self.get_direction_display()} {self.bound:g}"

    def clean(self) -> None:
        if problem := problem_with(self.metric, self.direction, self.measure, self.bound):
            raise ValidationError({problem.field: problem.text})


class Comparison(models.Model):
    """What a gate said of a candidate's run beside a baseline's; ``table`` holds each rule with its figures."""

    class Verdict(models.TextChoices):
        PASS = "pass", "Pass"
        FAIL = "fail", "Fail"
        UNDECIDED = "undecided", "Not enough evidence"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gate = models.CharField(max_length=48)  # its slug
    baseline = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="as_baseline")
    candidate = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="as_candidate")
    verdict = models.CharField(max_length=9, choices=Verdict)
    table = models.JSONField(default=list)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(baseline=F("candidate")), name="comparison_of_two"),
        ]

    def __str__(self) -> str:
        return f"{self.candidate} beside {self.baseline}"
