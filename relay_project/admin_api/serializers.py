"""What the admin API reads and writes, field by field. Tenants and keys go by slug and id, not by row number."""

from datetime import datetime
from typing import Any, ClassVar

from django.utils import timezone
from rest_framework import serializers

from tenants.core.apikeys import PREFIX
from tenants.models import ApiKey, AuditEntry, Quota, Tenant


class TenantOut(serializers.ModelSerializer[Tenant]):
    class Meta:
        model = Tenant
        fields: ClassVar = ["slug", "name", "content", "active", "created_at"]


class TenantIn(serializers.Serializer[Any]):
    slug = serializers.CharField(max_length=48)
    name = serializers.CharField(max_length=120, required=False)
    content = serializers.ChoiceField(Tenant.Content.choices, required=False, help_text="What traces keep.")


class TenantChange(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=120)
    content = serializers.ChoiceField(Tenant.Content.choices)
    active = serializers.BooleanField(help_text="false: every key is refused within a second.")


class KeyOut(serializers.ModelSerializer[ApiKey]):
    id = serializers.CharField(source="key_id")
    tenant = serializers.SlugRelatedField[Tenant]("slug", read_only=True)
    prefix = serializers.SerializerMethodField()

    class Meta:
        model = ApiKey
        fields: ClassVar = [
            "id",
            "prefix",
            "tenant",
            "name",
            "scopes",
            "created_by",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
        ]

    def get_prefix(self, key: ApiKey) -> str:
        return f"{PREFIX}{key.key_id}_…"


class NewKeyOut(KeyOut):
    key = serializers.CharField(help_text="The key itself. It is shown this once and kept nowhere.")

    class Meta(KeyOut.Meta):
        fields: ClassVar = [*KeyOut.Meta.fields, "key"]


class KeyIn(serializers.Serializer[Any]):
    tenant = serializers.CharField(max_length=48)
    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(ApiKey.Scope.choices), required=False, help_text="Empty: everything."
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True)

    def validate_expires_at(self, moment: datetime | None) -> datetime | None:
        if moment is not None and moment <= timezone.now():
            raise serializers.ValidationError("This is in the past.")
        return moment


class QuotaOut(serializers.ModelSerializer[Quota]):
    tenant = serializers.SlugRelatedField[Tenant]("slug", read_only=True)
    key = serializers.CharField(source="api_key.key_id", default=None, help_text="null: all keys together.")

    class Meta:
        model = Quota
        fields: ClassVar = ["id", "tenant", "key", "metric", "window", "limit", "timezone", "hard"]


class QuotaUseOut(QuotaOut):
    used = serializers.IntegerField(allow_null=True, help_text="In the present window; null if it is not known now.")
    resets_at = serializers.DateTimeField(allow_null=True)

    class Meta(QuotaOut.Meta):
        fields: ClassVar = [*QuotaOut.Meta.fields, "used", "resets_at"]


class QuotaChange(serializers.Serializer[Any]):
    metric = serializers.ChoiceField(Quota.Metric.choices, help_text="cost: in micro-dollars.")
    window = serializers.ChoiceField(Quota.Window.choices)
    limit = serializers.IntegerField(min_value=1, max_value=2**62)
    timezone = serializers.CharField(max_length=48, required=False)
    hard = serializers.BooleanField(required=False, help_text="false: requests over it pass and are marked.")


class QuotaIn(QuotaChange):
    tenant = serializers.CharField(max_length=48)
    key = serializers.CharField(max_length=16, required=False, allow_null=True, help_text="A key's id.")


class Note(serializers.Serializer[Any]):
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)


class ResetOut(serializers.Serializer[Any]):
    taken_off = serializers.IntegerField(help_text="In the quota's unit; what is held for running requests stays.")


class DefaultPolicy(serializers.Serializer[Any]):
    default_policy = serializers.CharField(
        max_length=48,
        allow_null=True,
        help_text="A strategy (ordered, scored, cheapest, fastest_p95, slo_burn_aware, weighted, canary), or the slug"
        " of an active policy of the platform, whose strategy, weights, SLO and canary are taken. It holds wherever a"
        " policy names no strategy of its own. null: the route's order. The strategy canary needs a policy that says"
        " which deployment is tried; by itself it keeps the route's order.",
    )


class DefaultPolicyOut(DefaultPolicy):
    choices = serializers.ListField(child=serializers.CharField())


class UsageOut(serializers.Serializer[Any]):
    day = serializers.DateField(help_text="UTC")
    tenant = serializers.CharField()
    model = serializers.CharField(help_text="Empty where no model answered.")
    requests = serializers.IntegerField()
    failed = serializers.IntegerField(help_text="Failed, or refused by a limit.")
    cached = serializers.IntegerField()
    tokens_in = serializers.IntegerField()
    tokens_out = serializers.IntegerField()
    cost_microusd = serializers.IntegerField()
    saved_microusd = serializers.IntegerField(help_text="What cached answers cost when they were made.")


class AuditOut(serializers.ModelSerializer[AuditEntry]):
    tenant = serializers.SerializerMethodField()

    class Meta:
        model = AuditEntry
        fields: ClassVar = [
            "id",
            "number",
            "at",
            "actor_kind",
            "actor",
            "address",
            "tenant",
            "action",
            "object",
            "object_id",
            "name",
            "changes",
            "hash",
        ]

    def get_tenant(self, entry: AuditEntry) -> str | None:
        return entry.tenant or None


class CanaryMove(serializers.Serializer[Any]):
    canary = serializers.IntegerField(
        min_value=1, max_value=2**63 - 1, required=False, help_text="Its id; needed if more than one is live."
    )


class CanaryForward(CanaryMove):
    force = serializers.BooleanField(default=False, help_text="Past the guardrails.")


class CanaryNoted(CanaryMove):
    note = serializers.CharField(max_length=300, required=False, allow_blank=True, help_text="Why; kept with it.")
