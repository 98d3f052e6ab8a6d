"""Models at providers, with prices and limits."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from routing.core.prices import MAX_PRICE_MICROUSD
from routing.core.tasks import TASKS
from routing.models.providers import Provider
from tenants.models import SLUG, Quota, check_timezone


class Deployment(models.Model):
    """A model at a provider, with its price, limits and capacity."""

    class Serves(models.TextChoices):
        CHAT = "chat", "Chat"
        EMBEDDINGS = "embeddings", "Embeddings"

    slug = models.CharField(max_length=48, unique=True, validators=[SLUG])
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="deployments")
    model = models.CharField(max_length=200, help_text="The model's name at the provider.")
    serves = models.CharField(max_length=12, choices=Serves, default=Serves.CHAT)
    enabled = models.BooleanField(default=True)
    capacity = models.PositiveIntegerField(
        default=8,
        validators=[MinValueValidator(1)],
        help_text="Requests that it serves at once; others wait.",
    )
    context_window = models.PositiveIntegerField(default=8192, help_text="Tokens, input and output together.")
    price_in_microusd = models.PositiveBigIntegerField(
        "price in",
        default=0,
        validators=[MaxValueValidator(MAX_PRICE_MICROUSD)],
        help_text="Micro-dollars per million input tokens.",
    )
    price_out_microusd = models.PositiveBigIntegerField(
        "price out",
        default=0,
        validators=[MaxValueValidator(MAX_PRICE_MICROUSD)],
        help_text="Micro-dollars per million output tokens.",
    )
    price_by_hand = models.BooleanField(
        "price set by hand", default=False, db_default=False, help_text="On: import_prices leaves it alone."
    )
    neurons_in = models.PositiveIntegerField(default=0, help_text="Neurons per million input tokens (Cloudflare).")
    neurons_out = models.PositiveIntegerField(default=0, help_text="Neurons per million output tokens (Cloudflare).")
    quality = models.PositiveSmallIntegerField(
        default=50, validators=[MaxValueValidator(100)], help_text="How good its answers are, 0 to 100."
    )
    strengths = models.JSONField(
        default=dict,
        blank=True,
        help_text='How well it does a task, 0 to 1: {"reasoning": 0.9, "speed": 0.3, "coding": 0.7, "chat": 0.6}.',
    )
    typical_latency_ms = models.PositiveIntegerField(
        "typical latency ms", default=1_000, help_text="To the whole answer; used until enough was measured."
    )
    connect_timeout_ms = models.PositiveIntegerField(default=2_000)
    ttft_timeout_ms = models.PositiveIntegerField("first-token timeout ms", default=30_000)
    idle_timeout_ms = models.PositiveIntegerField(default=30_000, help_text="Longest silence between two chunks.")
    total_timeout_ms = models.PositiveIntegerField(default=120_000, help_text="For answers that do not stream.")
    hedge_after_ms = models.PositiveIntegerField(
        "hedge after ms",
        null=True,
        blank=True,
        help_text="No first content after so long: the next candidate is asked as well, for at most 5 % of requests,"
        " and the faster one answers. Empty: never.",
    )
    options = models.JSONField(
        default=dict, blank=True, help_text="For mock: mean_ms, p95_ms, error_rate, seed, reply_tokens, chunk_ms."
    )

    class Meta:
        ordering: ClassVar = ["slug"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(capacity__gte=1), name="deployment_capacity_positive")
        ]

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        problems = {}
        if not _are_strengths(self.strengths):
            problems["strengths"] = f"Must be an object; its keys are of {', '.join(TASKS)}, its values 0 to 1."
        if self.provider_id and self.provider.kind == Provider.Kind.MINILM and self.serves != self.Serves.EMBEDDINGS:
            problems["serves"] = "MiniLM makes embeddings only."
        if not isinstance(self.options, dict):
            problems["options"] = 'Must be an object like {"mean_ms": 200}.'
        if problems:
            raise ValidationError(problems)


def _are_strengths(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return all(
        name in TASKS and isinstance(grade, int | float) and not isinstance(grade, bool) and 0 <= grade <= 1
        for name, grade in value.items()
    )


class DeploymentLimit(models.Model):
    """What a provider grants a deployment in a fixed window, such as a free tier. It is never passed."""

    class Metric(models.TextChoices):
        REQUESTS = "requests", "Requests"
        TOKENS = "tokens", "Tokens"
        NEURONS = "neurons", "Neurons"
        COST = "cost", "Cost (micro-dollars)"

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="limits")
    metric = models.CharField(max_length=16, choices=Metric, default=Metric.REQUESTS)
    window = models.CharField(max_length=8, choices=Quota.Window, default=Quota.Window.DAY)
    limit = models.PositiveBigIntegerField(validators=[MinValueValidator(1)])
    timezone = models.CharField(max_length=48, default="UTC", validators=[check_timezone])

    class Meta:
        ordering: ClassVar = ["deployment", "metric", "window"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["deployment", "metric", "window"], name="deployment_limit_once"),
            models.CheckConstraint(condition=Q(limit__gt=0), name="deployment_limit_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.limit:,} {self.get_metric_display().lower()} a {self.window}"
