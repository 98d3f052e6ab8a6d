"""Who is asked, and with which credential."""

import re
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F

from routing.resolving import refusal_at_save
from routing.sealing import CannotOpen, unseal
from tenants.models import SLUG, Tenant

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


def _is_list_of_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and WORD.fullmatch(item) for item in value)
