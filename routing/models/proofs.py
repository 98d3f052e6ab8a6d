"""What speaks for a policy version before it goes live: its replay, and the configuration that decisions rested on."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from routing.models.policies import PolicyVersion


class DecisionContext(models.Model):
    """A document that traces name by its digest (``core.lineup``). Written by web processes when they load it."""

    digest = models.CharField(max_length=24, primary_key=True)
    document = models.JSONField()
    seen_at = models.DateTimeField(db_index=True)  # when a process last had it in use, give or take a day

    def __str__(self) -> str:
        return self.digest


class Proof(models.Model):
    """What a replay said when somebody wanted a version live. ``report`` names traces by tenant and id only."""

    class Verdict(models.TextChoices):
        BETTER = "better", "Better"
        SAME = "same", "Same"
        WORSE = "worse", "Worse"
        UNDECIDED = "undecided", "Not enough data"

    version = models.ForeignKey(PolicyVersion, on_delete=models.CASCADE, related_name="proofs")
    base = models.PositiveIntegerField(null=True)  # the version that was active; null: none was
    sample = models.PositiveIntegerField()  # decisions that were made again
    verdict = models.CharField(max_length=9, choices=Verdict)
    report = models.JSONField()
    override = models.CharField(max_length=500, blank=True)  # why it went live though it was worse
    activated = models.BooleanField()
    by = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~Q(verdict="worse", activated=True, override=""), name="proof_worse_needs_reason"
            )
        ]

    def __str__(self) -> str:
        return f"{self.version}: {self.get_verdict_display()}"
