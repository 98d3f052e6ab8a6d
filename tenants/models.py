"""Who: tenants, the people who look after them, their API keys and what those may spend."""

from typing import ClassVar
from zoneinfo import available_timezones

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django_tenants.models import DomainMixin, TenantMixin
from django_tenants.utils import schema_exists

from tenants.schemas import make_schema

SLUG = RegexValidator(r"^[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?$", "Use a-z, 0-9 and -, at most 48 characters.")


def check_timezone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(f"“{name}” is not a time zone; write it like Europe/Berlin.")


class User(AbstractUser):
    """A person who signs in to the console. Superusers are the platform's staff and see all tenants; everybody else
    needs a Membership (and Django's ``is_staff``, which only means "may open the console")."""

    @property
    def is_staff_of_platform(self) -> bool:
        return self.is_active and self.is_superuser


class Tenant(TenantMixin):  # type: ignore[misc]  # django-tenants is not typed
    class Content(models.TextChoices):
        FULL = "full", "Prompts and answers"
        METADATA = "metadata", "Metadata only"

    slug = models.CharField(max_length=48, unique=True, validators=[SLUG], help_text="Sent by clients as X-Tenant-Id.")
    name = models.CharField(max_length=120)
    content = models.CharField(
        "traces keep",
        max_length=16,
        choices=Content,
        default=Content.FULL,
        help_text="What a trace of this tenant stores. “Metadata only” also switches the semantic cache off.",
    )
    trace_days = models.PositiveSmallIntegerField(
        "traces are kept for (days)",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text="Empty: as long as the platform keeps them. Traces go a week at a time, and those of the present"
        " month stay, because quotas are counted from them; hourly usage is kept.",
    )
    active = models.BooleanField(default=True, help_text="Off: every key of this tenant is refused within a second.")
    created_at = models.DateTimeField(auto_now_add=True)

    auto_create_schema = True

    def __str__(self) -> str:
        return self.name

    def create_schema(self, check_if_exists: bool = False, sync_schema: bool = True, verbosity: int = 1) -> bool:
        """Called by ``save``. Whether there was none before."""
        if check_if_exists and schema_exists(self.schema_name):
            return False
        make_schema(self.schema_name, verbosity=verbosity)
        return True


class Domain(DomainMixin):  # type: ignore[misc]
    pass


class Membership(models.Model):
    class Role(models.TextChoices):
        VIEWER = "viewer", "Viewer: metadata"
        ANALYST = "analyst", "Analyst: also prompts and answers"
        EDITOR = "editor", "Editor: drafts and tries policies"
        ADMIN = "admin", "Admin: activates policies, manages keys and quotas"
        OWNER = "owner", "Owner: manages members"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role, default=Role.VIEWER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "member"
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "tenant"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.tenant}"


class ApiKey(models.Model):
    """A key as it is stored: its public id and the HMAC of the whole. The secret is shown once and kept nowhere."""

    class Scope(models.TextChoices):
        CHAT = "chat", "Send requests"
        MODELS = "models", "List models"
        EVALS = "evals", "Ask for policy versions that are not active"

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=80, help_text="Who or what uses it: “web-prod”, “nightly batch”.")
    key_id = models.CharField("prefix", max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list, help_text="What the key may do. Empty: everything.", blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.CharField(max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "API key"
        ordering: ClassVar = ["tenant", "name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "name"], name="api_key_name_once")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        unknown = sorted(set(self.scopes or []) - set(self.Scope.values))
        if unknown:
            raise ValidationError({"scopes": f"Unknown: {', '.join(unknown)}. Known: {', '.join(self.Scope.values)}."})


class Quota(models.Model):
    """A limit over a fixed window, for a whole tenant or one key. Hard quotas refuse; soft ones only warn."""

    class Metric(models.TextChoices):
        REQUESTS = "requests", "Requests"
        TOKENS = "tokens", "Tokens"
        COST = "cost", "Cost (micro-dollars)"

    class Window(models.TextChoices):
        MINUTE = "minute", "Minute"
        HOUR = "hour", "Hour"
        DAY = "day", "Day"
        MONTH = "month", "Month"

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="quotas")
    api_key = models.ForeignKey(
        ApiKey,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="quotas",
        help_text="Empty: all keys together.",
    )
    metric = models.CharField(max_length=16, choices=Metric, default=Metric.REQUESTS)
    window = models.CharField(max_length=8, choices=Window, default=Window.DAY)
    limit = models.PositiveBigIntegerField(help_text="Requests, tokens, or millionths of a dollar in one window.")
    timezone = models.CharField(
        max_length=48, default="UTC", validators=[check_timezone], help_text="Where a day or month begins."
    )
    hard = models.BooleanField(
        default=True, help_text="On: requests over it are refused. Off: they pass and are marked."
    )

    class Meta:
        ordering: ClassVar = ["tenant", "api_key", "metric", "window"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                F("tenant"), F("api_key"), F("metric"), F("window"), name="quota_once", nulls_distinct=False
            ),
            models.CheckConstraint(condition=Q(limit__gt=0), name="quota_limit_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.limit:,} {self.get_metric_display().lower()} a {self.window}"

    def clean(self) -> None:
        """What the constraints refuse is refused here in words."""
        problems: dict[str, str] = {}
        if self.api_key is not None and self.api_key.tenant_id != self.tenant_id:
            problems["api_key"] = "This key belongs to another tenant."
        if self.limit is not None and self.limit < 1:
            problems["limit"] = "A limit is at least 1."
        same = {"tenant": self.tenant_id, "api_key": self.api_key_id, "metric": self.metric, "window": self.window}
        if Quota.objects.filter(**same).exclude(pk=self.pk).exists():
            problems["window"] = "There is a quota of this metric and window already."
        if problems:
            raise ValidationError(problems)


class QuotaReset(models.Model):
    """What was taken off a counter by hand: a rebuild from the traces takes it off again. Never changed or deleted."""

    tenant = models.ForeignKey(
        Tenant, on_delete=models.CASCADE, null=True, related_name="resets"
    )  # null: a limit of a deployment
    limit_key = models.CharField(max_length=80)  # tenants.core.limits.Limit.name
    limit_name = models.CharField(max_length=120)  # as a person would say it, true after the limit is gone
    window_start = models.DateTimeField()
    amount = models.BigIntegerField()
    author = models.CharField(max_length=150)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [models.Index(fields=["limit_key", "window_start"], name="quota_reset_window")]

    def __str__(self) -> str:
        return f"{self.limit_name}: {self.amount:,} taken off"


class Platform(models.Model):
    """What holds for the whole platform: one row."""

    default_policy = models.CharField(
        max_length=48,
        blank=True,
        help_text="A strategy, or a policy of the platform whose strategy (with its weights, SLO and canary) is taken:"
        " how candidates are ordered wherever a policy names no strategy of its own. Empty: in the route's order.",
    )

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="platform_once")]

    def __str__(self) -> str:
        return "Platform"


class AuditEntry(models.Model):
    """One act of somebody. Triggers write, number and guard the entries (`tenants/audit_sql.py`)."""

    class ActorKind(models.TextChoices):
        USER = "user", "Person"
        ADMIN_TOKEN = "admin-token", "Admin API"
        COMMAND = "command", "Command"
        DATABASE = "database", "Database"

    class Action(models.TextChoices):
        CREATED = "created", "created"
        CHANGED = "changed", "changed"
        DELETED = "deleted", "deleted"
        ACTIVATED = "activated", "activated"
        REVOKED = "revoked", "revoked"
        RESET = "reset", "reset"
        RELOADED = "reloaded", "reloaded"
        TESTED = "tested", "tested"
        SIGNED_IN = "signed-in", "signed in"
        SIGNED_OUT = "signed-out", "signed out"
        NOT_SIGNED_IN = "not-signed-in", "sign-in refused"
        EXPORTED = "exported", "exported"
        ERASED = "erased", "erased"

    number = models.BigIntegerField("no.", unique=True, null=True)  # place in the chain, given at commit
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=16, choices=ActorKind)
    actor = models.CharField(max_length=150)
    address = models.CharField(max_length=45, db_default="")
    tenant_id = models.BigIntegerField(null=True)  # no foreign key: entries outlive what they name. null: platform
    tenant = models.CharField(max_length=48, db_default="")
    action = models.CharField(max_length=16, choices=Action)
    object = models.CharField(max_length=63)  # the table
    object_id = models.CharField(max_length=40, db_default="")
    name = models.CharField(max_length=200, db_default="")
    changes = models.JSONField(default=dict)  # field -> [before, after]
    previous = models.CharField(max_length=64, db_default="")
    hash = models.CharField(max_length=64, db_default="")

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["tenant_id", "-id"], name="audit_of_tenant")]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.name}"
