"""Policies and their versions."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F

from routing.core.policy import PolicyInvalid
from routing.documents import read_policy
from tenants.models import SLUG, Tenant


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

    def clean(self) -> None:
        """What the constraint refuses is refused here in words."""
        if Policy.objects.filter(tenant=self.tenant_id, slug=self.slug).exclude(pk=self.pk).exists():
            raise ValidationError({"slug": "There is a policy of this name already."})


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


class ServedVersion(models.Model):
    """A version that may be asked for as “policy@number” though it is not active, while something proves it: a key
    with the scope “evals” gets it, no other request does."""

    version = models.OneToOneField(PolicyVersion, on_delete=models.CASCADE, related_name="served")
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.version} until {self.until:%Y-%m-%d %H:%M} UTC"
