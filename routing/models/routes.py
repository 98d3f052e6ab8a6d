"""What clients call a model: the way to a policy and to deployments."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from routing.models.deployments import Deployment
from routing.models.policies import Policy
from tenants.models import SLUG, Tenant

ROUTE_NAME = RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$", "Use letters, digits and . _ : / -, at most 128.")
RESERVED_PATHS = frozenset(
    ("chat", "models", "admin", "infer", "embeddings", "completions", "responses", "healthz", "readyz")
)


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
        if self._others().filter(name=self.name).exists():
            problems["name"] = "There is a route of this name already."
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
