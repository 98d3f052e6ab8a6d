"""What may be asked and who may answer: providers, deployments, routes and versioned policies."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from routing.core.policy import PolicyInvalid
from routing.documents import read_policy
from tenants.models import SLUG, Tenant

ROUTE_NAME = RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$", "Use letters, digits and . _ : / -, at most 128.")
CREDENTIAL_ENV = RegexValidator(
    r"^[A-Z][A-Z0-9_]*_API_KEY$", "The name of an environment variable that ends with _API_KEY."
)


class Provider(models.Model):
    """A vendor or a server. Owned by staff; tenants see those that their routes use."""

    class Kind(models.TextChoices):
        OPENAI = "openai_compatible", "OpenAI-compatible"
        OLLAMA = "ollama", "Ollama"
        MOCK = "mock", "Mock"

    slug = models.CharField(max_length=48, unique=True, validators=[SLUG])
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=24, choices=Kind, default=Kind.OPENAI)
    base_url = models.URLField(
        max_length=400, blank=True, help_text="Up to and including /v1 for OpenAI-compatible servers. Not used by mock."
    )
    credential_env = models.CharField(
        max_length=64,
        blank=True,
        validators=[CREDENTIAL_ENV],
        help_text="Environment variable that holds the API key, for example OPENAI_API_KEY. Empty: none is sent.",
    )
    enabled = models.BooleanField(default=True, help_text="Off: no request goes there, within a second.")

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.kind != self.Kind.MOCK and not self.base_url:
            raise ValidationError({"base_url": "Say where it is, for example http://127.0.0.1:11434."})


class Deployment(models.Model):
    """A model at a provider, with its price, limits and capacity."""

    slug = models.CharField(max_length=48, unique=True, validators=[SLUG])
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="deployments")
    model = models.CharField(max_length=200, help_text="The model's name at the provider.")
    enabled = models.BooleanField(default=True)
    capacity = models.PositiveIntegerField(
        default=8,
        validators=[MinValueValidator(1)],
        help_text="Requests that it serves at once; others wait.",
    )
    context_window = models.PositiveIntegerField(default=8192, help_text="Tokens, input and output together.")
    price_in_microusd = models.PositiveBigIntegerField(
        "price in", default=0, help_text="Micro-dollars per million input tokens."
    )
    price_out_microusd = models.PositiveBigIntegerField(
        "price out", default=0, help_text="Micro-dollars per million output tokens."
    )
    connect_timeout_ms = models.PositiveIntegerField(default=2_000)
    ttft_timeout_ms = models.PositiveIntegerField("first-token timeout ms", default=30_000)
    idle_timeout_ms = models.PositiveIntegerField(default=30_000, help_text="Longest silence between two chunks.")
    total_timeout_ms = models.PositiveIntegerField(default=120_000, help_text="For answers that do not stream.")
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


class Policy(models.Model):
    """A named policy of one tenant, or of the platform (no tenant). Its versions never change; one is active."""

    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="policies",
        help_text="Empty: for everybody.",
    )
    slug = models.CharField(max_length=48, validators=[SLUG])
    name = models.CharField(max_length=120)
    active_version = models.PositiveIntegerField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "policies"
        ordering: ClassVar = ["slug"]
        constraints: ClassVar = [
            models.UniqueConstraint(F("tenant"), F("slug"), name="policy_slug_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return self.slug


class PolicyVersion(models.Model):
    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    text = models.TextField(help_text="YAML; comments are kept.")
    note = models.CharField(max_length=200, blank=True)
    author = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    activated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["policy", "number"], name="policy_version_once")]

    def __str__(self) -> str:
        return f"{self.policy} v{self.number}"

    def clean(self) -> None:
        try:
            read_policy(self.text)
        except PolicyInvalid as error:
            raise ValidationError({"text": [str(problem) for problem in error.problems]}) from error


class Route(models.Model):
    """The model name that a client sends: which policy plans it and which deployments may answer, in order."""

    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="routes",
        help_text="Empty: for everybody.",
    )
    name = models.CharField(max_length=128, validators=[ROUTE_NAME], help_text="What clients send as “model”.")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="routes")
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(F("tenant"), F("name"), name="route_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.policy_id and self.policy.tenant_id not in (None, self.tenant_id):
            raise ValidationError({"policy": "This policy belongs to another tenant."})


class RouteCandidate(models.Model):
    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="steps")
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="steps")
    position = models.PositiveSmallIntegerField(default=0, help_text="Tried in this order.")

    class Meta:
        ordering: ClassVar = ["position", "id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["route", "deployment"], name="route_candidate_once")]

    def __str__(self) -> str:
        return f"{self.position}: {self.deployment}"
