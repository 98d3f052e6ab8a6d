"""Is it still good: load runs. Rows of the platform: a load concerns every tenant."""

from typing import ClassVar

from django.db import models


class LoadRun(models.Model):
    """What a load tool saw; ``timeline`` is what ``core.load.timeline_of`` makes, ``errors`` {what went wrong: times}.

    Latencies are of answered requests, in ms; null if there was none. ``options`` never hold a key.
    """

    class Tool(models.TextChoices):
        LOADGEN = "loadgen", "loadgen"
        LOCUST = "locust", "Locust"

    name = models.CharField(max_length=80)
    tool = models.CharField(max_length=8, choices=Tool)
    started_at = models.DateTimeField()
    duration_s = models.FloatField("duration")
    options = models.JSONField(default=dict)
    requests = models.PositiveIntegerField()
    failed = models.PositiveIntegerField()
    qps = models.FloatField("requests a second")
    p50_ms = models.FloatField("p50", null=True)
    p95_ms = models.FloatField("p95", null=True)
    p99_ms = models.FloatField("p99", null=True)
    errors = models.JSONField(default=dict)
    timeline = models.JSONField(default=list)

    class Meta:
        ordering: ClassVar = ["-started_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(failed__lte=models.F("requests")), name="loadrun_failed_counted"),
        ]

    def __str__(self) -> str:
        return self.name
