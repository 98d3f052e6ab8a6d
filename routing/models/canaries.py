"""A candidate on its way into a route: the canary, what is known of it, what it did, and calls not yet looked at."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from routing.core.canary import LIVE


class Canary(models.Model):
    """A deployment, or another version of the route's policy, that takes a share of a route. Its rows are kept.

    Of a live one each change is in force everywhere within a second, so nothing is stored here for each call.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        HELD = "held", "Holding"
        PAUSED = "paused", "Paused"
        ROLLED_BACK = "rolled_back", "Rolled back"
        DONE = "done", "Done"

    class Sticky(models.TextChoices):
        CONVERSATION = "conversation", "Per conversation (its first message)"
        KEY = "key", "Per API key"
        USER = "user", "Per user (the request's “user”)"
        NONE = "none", "No: each request by itself"

    route = models.ForeignKey("routing.Route", on_delete=models.CASCADE, related_name="canaries")
    deployment = models.ForeignKey(
        "routing.Deployment", on_delete=models.SET_NULL, null=True, blank=True, related_name="canaries"
    )
    policy_version = models.ForeignKey(
        "routing.PolicyVersion", on_delete=models.SET_NULL, null=True, blank=True, related_name="canaries"
    )
    name = models.CharField(max_length=120, editable=False)  # of the candidate, which may be deleted
    base = models.CharField(max_length=120, editable=False)  # what it is compared with, in words
    state = models.CharField(max_length=12, choices=State, default=State.RUNNING, editable=False)
    stage = models.PositiveSmallIntegerField(default=0, editable=False)  # index into stages
    stages = models.JSONField()  # percent, rising, the last one 100
    sticky = models.CharField(max_length=12, choices=Sticky, default=Sticky.CONVERSATION)
    window = models.PositiveIntegerField(validators=[MinValueValidator(1), MaxValueValidator(1_000_000)])
    burn_multiplier = models.FloatField(validators=[MinValueValidator(0.1), MaxValueValidator(1000)])
    slo = models.FloatField(validators=[MinValueValidator(0.5), MaxValueValidator(0.9999)])
    started_by = models.CharField(max_length=150, blank=True, editable=False)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name_plural = "canaries"
        ordering: ClassVar = ["-started_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(F("route"), condition=Q(state__in=LIVE), name="canary_one_live_a_route"),
            models.CheckConstraint(
                condition=Q(deployment=None) | Q(policy_version=None), name="canary_tries_one_thing"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.route}"

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def share(self) -> int:
        """Percent of the route's traffic that the candidate takes now."""
        return int(self.stages[self.stage]) if self.live else 0


class CanaryEvidence(models.Model):
    """State of the tests (``core.canary_record``), beside the canary, whose changes every process would load."""

    canary = models.OneToOneField(Canary, on_delete=models.CASCADE, related_name="evidence")
    data = models.JSONField()
    curve = models.JSONField(default=list)  # [[calls of the candidate, share, {metric: log e}], ...], thinned out
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "canary evidence"

    def __str__(self) -> str:
        return f"Evidence of {self.canary}"


class CanaryTransition(models.Model):
    canary = models.ForeignKey(Canary, on_delete=models.CASCADE, related_name="transitions")
    at = models.DateTimeField(auto_now_add=True)
    from_state = models.CharField(max_length=12, blank=True)
    to_state = models.CharField(max_length=12)
    from_share = models.PositiveSmallIntegerField()
    to_share = models.PositiveSmallIntegerField()
    why = models.CharField(max_length=600)
    evidence = models.JSONField(default=dict)  # figures of both arms, each metric beside its bar
    by = models.CharField(max_length=150, blank=True)  # who asked for it; empty: Relay by itself

    class Meta:
        ordering: ClassVar = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.canary}: {self.from_share} to {self.to_share} %"


class CanaryCall(models.Model):
    """A call that no test has seen yet. Written with its trace, in one transaction, and deleted by the transaction that
    updates the tests: each call counts exactly once, in the order in which traces arrive."""

    canary_id = models.BigIntegerField(db_index=True)  # no foreign key: writing traces locks no row of configuration
    candidate = models.BooleanField()
    failed = models.BooleanField()
    latency_ms = models.FloatField(null=True)
    ttft_ms = models.FloatField(null=True)
    cost_microusd = models.BigIntegerField(null=True)
    trace_id = models.UUIDField(null=True)  # of an answer that can be scored

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"Call {self.pk} of canary {self.canary_id}"
