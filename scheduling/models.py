"""The two lanes in which requests wait. Rows of the platform: they hold for every tenant and every deployment."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q, Sum

from scheduling.core.lanes import LaneConfig


class Lane(models.Model):
    class Slug(models.TextChoices):
        SHORT = "short", "short"
        LONG = "long", "long"

    slug = models.CharField(max_length=8, unique=True, choices=Slug)
    title = models.CharField(max_length=80)
    weight = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Part of the tokens served when both lanes wait: 3 against 1 is three quarters.",
    )
    protected_percent = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(90)],
        help_text="Slots of each deployment that the other lane may not fill, rounded up; it always keeps one.",
    )
    max_queue = models.PositiveIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(10_000)],
        help_text="Requests that may wait for one deployment. More are refused with 429 and Retry-After.",
    )
    wait_slo_ms = models.PositiveIntegerField(
        "wait goal ms",
        validators=[MinValueValidator(1)],
        help_text="A request that is predicted to wait longer gets a shorter answer.",
    )
    degraded_max_tokens = models.PositiveIntegerField(
        validators=[MinValueValidator(1)],
        help_text="Limit of that shorter answer. It never raises what the client asked for.",
    )

    class Meta:
        ordering: ClassVar = ["-weight", "slug"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(slug__in=["short", "long"]), name="lane_known"),
            models.CheckConstraint(condition=Q(weight__gte=1, weight__lte=100), name="lane_weight_in_range"),
            models.CheckConstraint(condition=Q(protected_percent__lte=90), name="lane_protected_in_range"),
            models.CheckConstraint(condition=Q(max_queue__gte=1, max_queue__lte=10_000), name="lane_queue_bounded"),
            models.CheckConstraint(condition=Q(wait_slo_ms__gte=1), name="lane_wait_goal_positive"),
            models.CheckConstraint(condition=Q(degraded_max_tokens__gte=1), name="lane_degraded_tokens_positive"),
        ]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        others = Lane.objects.exclude(pk=self.pk).aggregate(total=Sum("protected_percent"))["total"] or 0
        if (self.protected_percent or 0) + others > 90:
            raise ValidationError({"protected_percent": "The lanes together may protect at most 90 percent."})

    def config(self) -> LaneConfig:
        return LaneConfig(
            slug=self.slug,
            weight=self.weight,
            protected_percent=self.protected_percent,
            max_queue=self.max_queue,
            wait_slo_ms=self.wait_slo_ms,
            degraded_max_tokens=self.degraded_max_tokens,
        )
