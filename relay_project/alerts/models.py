"""Who is told when something goes wrong, what went wrong, and what was sent of it."""

import json
import uuid
from dataclasses import dataclass, field
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from routing.sealing import seal, unseal
from tenants.models import Tenant


@dataclass(frozen=True, slots=True)
class Destination:
    """``address``: a URL, or mail addresses separated by commas. ``secret`` signs webhooks."""

    address: str = field(repr=False)
    secret: str = field(repr=False)


class AlertChannel(models.Model):
    """Where alerts go. The address is sealed: that of a webhook is often all it takes to write into somebody's chat."""

    class Kind(models.TextChoices):
        WEBHOOK = "webhook", "Webhook"
        MAIL = "mail", "Mail"

    class Topic(models.TextChoices):
        QUOTA = "quota", "A quota is spent (or passed, if it only warns)"
        BUDGET = "budget", "80 % of a budget is spent"
        BREAKER = "breaker", "A deployment is not asked for over 5 minutes"
        BURN = "burn", "An error budget burns too fast"
        WRITER = "writer", "Traces are not stored"
        CREDENTIAL = "credential", "A provider's credential fails"
        REQUESTS = "requests", "Requests fail, as the home page says"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alert_channels",
        help_text="Empty: staff.",
    )
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.WEBHOOK)
    sealed = models.TextField(editable=False)
    shown = models.CharField("address", max_length=200, editable=False)
    topics = models.JSONField(default=list, blank=True, help_text="Empty: all.")
    allow_private = models.BooleanField(
        "may be private", default=False, help_text="Its address may be loopback or private. Staff only."
    )
    enabled = models.BooleanField(default=True)
    created_by = models.CharField(max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "alert channel"
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(F("tenant"), F("name"), name="alert_channel_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return self.name

    def lock(self, destination: Destination) -> None:
        """Raises CannotSeal."""
        text = json.dumps({"address": destination.address, "secret": destination.secret})
        self.sealed = seal(settings.RELAY_CREDENTIAL_KEYS, text, self.context)

    def open(self) -> Destination:
        """Raises CannotOpen."""
        return Destination(**json.loads(unseal(settings.RELAY_CREDENTIAL_KEYS, self.sealed, self.context)))

    @property
    def context(self) -> str:
        """What the sealed text is bound to: its purpose and its row."""
        return f"alert-channel/{self.pk}/{self.tenant_id or 'platform'}"


class Alert(models.Model):
    """A condition that was met, from its beginning to its end."""

    key = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, choices=AlertChannel.Topic)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, related_name="alerts")
    title = models.CharField(max_length=200)
    detail = models.CharField(max_length=500, blank=True)
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    over_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-began_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["key"], condition=Q(over_at=None), name="alert_open_once")
        ]

    def __str__(self) -> str:
        return self.title


class AlertMessage(models.Model):
    """One message to one channel, until it is sent or given up. ``alert`` None: a test."""

    class Event(models.TextChoices):
        BEGAN = "began", "began"
        OVER = "over", "over"
        TEST = "test", "test"

    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="messages")
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, null=True, related_name="messages")
    event = models.CharField(max_length=8, choices=Event)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)  # null: sent, or given up
    sent_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["channel", "alert", "event"], name="alert_message_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_try_at"], condition=Q(next_try_at__isnull=False), name="alert_message_due")
        ]

    def __str__(self) -> str:
        return f"{self.event}: {self.alert or 'test'}"
