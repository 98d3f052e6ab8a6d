"""Answers of a canary that are scored: how, which, and what came of it. Only ids and figures: words stay in traces."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class CanaryScoring(models.Model):
    """By what a canary's answers are scored and how many; and where that stands. Beside the canary, whose changes every
    process would load."""

    canary = models.OneToOneField("routing.Canary", on_delete=models.CASCADE, related_name="scoring")
    scorer = models.JSONField()  # {"name": ..., options}, as ``evals.core.scorers`` reads it
    percent = models.FloatField(validators=[MinValueValidator(0.1), MaxValueValidator(100)])  # of candidate's answers
    daily = models.PositiveIntegerField(validators=[MinValueValidator(1), MaxValueValidator(1_000_000)])  # pairs, UTC
    tolerance = models.FloatField(validators=[MinValueValidator(0), MaxValueValidator(0.9)])
    least_pairs = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(1_000_000)])  # a stage

    open_candidate = models.UUIDField(null=True, blank=True)  # of ``core.pairing.Waiting``
    open_base = models.UUIDField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)  # a worker is at it until then, or the judge is given time
    problem = models.CharField(max_length=300, blank=True)  # what stood in the way last; quotes no answer
    key_id = models.CharField(max_length=16, blank=True)  # of the judge's API key: its cost is that key's

    def __str__(self) -> str:
        return f"Scores of {self.canary}"


class CanaryPair(models.Model):
    """An answer of either arm. Each trace is in one pair at most, and each score is kept as soon as it is known, so
    none is paid for twice. Tests see a pair once both scores are there."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting for its scores"
        SCORED = "scored", "Scored"
        COUNTED = "counted", "Seen by the test"
        VOID = "void", "Cannot be scored"

    canary = models.ForeignKey("routing.Canary", on_delete=models.CASCADE, related_name="pairs")
    made_at = models.DateTimeField(auto_now_add=True)
    tries = models.PositiveSmallIntegerField(default=0)  # in which the judge could not be asked
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    candidate_trace = models.UUIDField()
    base_trace = models.UUIDField()
    candidate_score = models.FloatField(null=True)  # 0 (worst) to 1 (best)
    base_score = models.FloatField(null=True)

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(fields=["canary", "state"], name="canary_pair_state"),
            models.Index(fields=["canary", "made_at"], name="canary_pair_day"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["canary", "candidate_trace"], name="canary_pair_candidate_once"),
            models.UniqueConstraint(fields=["canary", "base_trace"], name="canary_pair_base_once"),
        ]

    def __str__(self) -> str:
        return f"Pair {self.pk} of canary {self.canary_id}"
