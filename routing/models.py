"""What may be asked and who may answer: providers, deployments, routes and versioned policies."""

import re
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from routing.canary_models import Canary as Canary
from routing.canary_models import CanaryCall as CanaryCall
from routing.canary_models import CanaryEvidence as CanaryEvidence
from routing.canary_models import CanaryTransition as CanaryTransition
from routing.core.policy import PolicyInvalid
from routing.core.prices import MAX_PRICE_MICROUSD
from routing.core.tasks import TASKS
from routing.documents import read_policy
from routing.resolving import refusal_at_save
from routing.sealing import CannotOpen, unseal
from tenants.models import SLUG, Quota, Tenant, check_timezone

ROUTE_NAME = RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$", "Use letters, digits and . _ : / -, at most 128.")
RESERVED_PATHS = frozenset(
    ("chat", "models", "admin", "infer", "embeddings", "completions", "responses", "healthz", "readyz")
)
CREDENTIAL_ENV = RegexValidator(
    r"^[A-Z][A-Z0-9_]*_API_KEY$", "The name of an environment variable that ends with _API_KEY."
)


ACCOUNT_ID = "ACCOUNT_ID"  # stands in an address where the customer's own belongs
WORD = re.compile(r"[a-z0-9_-]{1,32}")


class Provider(models.Model):
    """A vendor or a server. Owned by staff; tenants see those that their routes use."""

    class Kind(models.TextChoices):
        OPENAI = "openai_compatible", "OpenAI-compatible"
        ANTHROPIC = "anthropic", "Anthropic"
        BEDROCK = "bedrock", "AWS Bedrock"
        OLLAMA = "ollama", "Ollama"
        MINILM = "minilm", "MiniLM (embeddings, in the process)"
        MOCK = "mock", "Mock"

    WITHOUT_ADDRESS: ClassVar = frozenset({Kind.MINILM, Kind.MOCK})

    slug = models.CharField(max_length=48, unique=True, validators=[SLUG])
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=24, choices=Kind, default=Kind.OPENAI)
    base_url = models.CharField(  # not a URLField, which refuses names without a dot, such as http://ollama:11434
        "address",
        max_length=400,
        blank=True,
        help_text="Up to and including /v1 for OpenAI-compatible servers. Not used by mock.",
    )
    credential_env = models.CharField(
        max_length=64,
        blank=True,
        validators=[CREDENTIAL_ENV],
        help_text="Environment variable with the API key, for example OPENAI_API_KEY; a stored credential goes first.",
    )
    needs_credential = models.BooleanField(default=False, help_text="On: not used until it has a credential.")
    environments = models.JSONField(
        default=list,
        blank=True,
        help_text="Where it is preferred (RELAY_ENV), for example development for local models. Empty: everywhere.",
    )
    allow_private = models.BooleanField(
        "may be private",
        default=False,
        help_text="Its address may be loopback or private, as for a model server of your own.",
    )
    enabled = models.BooleanField(default=True, help_text="Off: no request goes there, within a second.")

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        problems = {}
        if self.kind not in self.WITHOUT_ADDRESS:
            where = "Say where it is, for example http://127.0.0.1:11434."
            address = self.base_url
            problem = refusal_at_save(address, allow_private=self.allow_private) if address else where
            problems["base_url"] = problem
        if not _is_list_of_words(self.environments):
            problems["environments"] = 'Must be a list of names like ["development"].'
        if self.enabled and self.pk and not self._opens():
            problems["enabled"] = (
                "Its stored credential cannot be opened: enter it again or clear it, then switch it on."
            )
        problems = {name: problem for name, problem in problems.items() if problem}
        if problems:
            raise ValidationError(problems)

    def _opens(self) -> bool:
        """Of the platform's credential; those of tenants are theirs to enter again."""
        row = self.credentials.filter(tenant=None).first()
        try:
            return row is None or bool(row.open())
        except CannotOpen:
            return False


class Credential(models.Model):
    """A provider's API key, sealed (`routing/sealing.py`): the platform's, or the one that a tenant brings along."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="credentials")
    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="credentials",
        help_text="Empty: for everybody.",
    )
    sealed = models.TextField(editable=False)
    hint = models.CharField("ends with", max_length=4, editable=False)
    created_by = models.CharField(max_length=150, blank=True, editable=False)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["provider", "tenant"]
        constraints: ClassVar = [
            models.UniqueConstraint(F("provider"), F("tenant"), name="credential_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.provider} …{self.hint}"

    @property
    def context(self) -> str:
        """What the sealed text is bound to: its purpose and its row's owner."""
        return f"provider-credential/{self.provider_id}/{self.tenant_id or 'platform'}"

    def open(self) -> str:
        """Raises CannotOpen."""
        return unseal(settings.RELAY_CREDENTIAL_KEYS, self.sealed, self.context)


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


def _is_list_of_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and WORD.fullmatch(item) for item in value)


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
    """The model name or path that a client sends: which policy plans it and which deployments may answer, in order."""

    class Sticky(models.TextChoices):
        NONE = "none", "No: each request by itself"
        KEY = "key", "Per API key"
        USER = "user", "Per user (the request's “user”)"
        CONVERSATION = "conversation", "Per conversation (its first message)"

    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="routes",
        help_text="Empty: for everybody.",
    )
    name = models.CharField(max_length=128, validators=[ROUTE_NAME], help_text="What clients send as “model”.")
    path = models.CharField(
        max_length=48,
        blank=True,
        validators=[SLUG],
        help_text="Also served at /v1/PATH/chat/completions, whatever “model” is sent. Empty: no path.",
    )
    alias_of = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="aliases",
        help_text="Another name for that route: its policy and candidates are used.",
    )
    policy = models.ForeignKey(
        Policy,
        on_delete=models.PROTECT,
        blank=True,
        related_name="routes",
        help_text="What plans its requests. An alias has its target's.",
    )
    sticky = models.CharField(
        max_length=12, choices=Sticky, default=Sticky.NONE, help_text="Who stays on one side of a split."
    )
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(F("tenant"), F("name"), name="route_once", nulls_distinct=False),
            models.UniqueConstraint(
                F("tenant"), F("path"), condition=~Q(path=""), name="route_path_once", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """An alias takes over its target's policy, so that none need be chosen."""
        problems: dict[str, str] = {}
        if self.alias_of is not None:
            if problem := self._problem_with_alias(self.alias_of):
                problems["alias_of"] = problem
            else:
                self.policy = self.alias_of.policy
        if self.policy_id is None:
            problems.setdefault("policy", "Choose a policy, or the route that this is another name for.")
        elif self.policy.tenant_id not in (None, self.tenant_id):
            problems["policy"] = "This policy belongs to another tenant."
        if self.path in RESERVED_PATHS:
            problems["path"] = f"“{self.path}” is an address of Relay itself."
        elif self.path and (other := self._others().filter(path=self.path).first()):
            problems["path"] = f"The route {other.name} is served there."
        if problems:
            raise ValidationError(problems)

    def _problem_with_alias(self, target: "Route") -> str | None:
        """One level only: no chains, so no circles."""
        if target.pk == self.pk or target.alias_of_id is not None:
            return "Choose a route that is not an alias itself."
        if target.tenant_id not in (None, self.tenant_id):
            return "This route belongs to another tenant."
        if self.pk is not None and (alias := self.aliases.first()):
            return f"The route {alias.name} is another name for this one, so this one cannot be an alias."
        return None

    def _others(self) -> "models.QuerySet[Route]":
        """The other routes of the same owner."""
        return Route.objects.filter(tenant=self.tenant_id).exclude(pk=self.pk)


class RouteCandidate(models.Model):
    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="steps")
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="steps")
    position = models.PositiveSmallIntegerField(default=0, help_text="Tried in this order.")
    share = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(100)],
        help_text="Percent of the traffic that asks it first. Empty everywhere: no split.",
    )

    class Meta:
        ordering: ClassVar = ["position", "id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["route", "deployment"], name="route_candidate_once")]

    def __str__(self) -> str:
        return f"{self.position}: {self.deployment}"
