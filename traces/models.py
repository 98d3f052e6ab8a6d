"""What happened: one row a request, in the schema of the tenant that sent it, and sums of them by the hour."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast, Right, Upper
from pgvector.django import VectorField

from traces.core.latencies import BUCKETS


class Trace(models.Model):
    """Names of keys, policies and deployments are kept as text, so that a trace stays true after those change.

    Written by ``store.py``. The table is partitioned by weeks of ``started_at`` (``partitions.py``), so PostgreSQL's
    primary key is (id, started_at); ids alone are unique because each is made once.
    """

    class Outcome(models.TextChoices):
        OK = "ok", "OK"
        CACHED = "cached", "Cached"
        FELL_BACK = "fell_back", "Fell back"
        LIMITED = "limited", "Limited"  # queue full, quota spent
        REJECTED = "rejected", "Rejected"  # the client's request was wrong
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"  # the client went away

    id = models.UUIDField(primary_key=True)  # UUIDv7: ordered by time
    started_at = models.DateTimeField()
    request_id = models.CharField(max_length=128)
    outcome = models.CharField(max_length=12, choices=Outcome)
    status = models.SmallIntegerField()  # HTTP status that the client received
    error_code = models.CharField(max_length=64, blank=True)
    sample = models.BooleanField(default=False)  # made by `manage.py seed`, not by a client

    api_key = models.CharField(max_length=80)  # the key's name
    key_id = models.CharField(max_length=16, blank=True, db_default="")  # what stays when a key gets another name
    route = models.CharField(max_length=200)  # the model name that the client asked for
    provider = models.CharField(max_length=64, blank=True)
    deployment = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=200, blank=True)  # the model that answered
    policy = models.CharField(max_length=64, blank=True)
    policy_version = models.IntegerField(default=0)
    bucket = models.CharField(max_length=8, blank=True)
    lane = models.CharField(max_length=16, blank=True)
    cache = models.CharField(
        max_length=8, default="off"
    )  # off | miss | exact | semantic | replay (of an Idempotency-Key)
    stream = models.BooleanField(default=False)
    endpoint = models.CharField(max_length=12, default="chat", db_default="chat")  # chat | infer | embeddings
    strategy = models.CharField(max_length=16, blank=True, db_default="")  # how the candidates were ordered
    task = models.CharField(max_length=16, blank=True, db_default="")  # what kind of work it seemed to be

    latency_ms = models.FloatField()  # request in to last byte out
    backend_latency_ms = models.FloatField(null=True)  # the attempt that answered; null when no provider was called
    queue_wait_ms = models.FloatField(null=True)
    ttft_ms = models.FloatField(null=True)  # request in to first content, queue wait included
    overhead_ms = models.FloatField(null=True)  # latency less backend and queue
    tokens_in = models.IntegerField(null=True)
    tokens_out = models.IntegerField(null=True)
    # provider | estimated (it said nothing) | corrected (it said what cannot be) | cache
    usage_source = models.CharField(max_length=10, blank=True)
    # What the ledger settled: quotas are rebuilt from these two and from cost_microusd, limits of deployments from
    # ``charged`` of the attempts ({requests, tokens, cost, neurons}, the last two in millionths), but for those with
    # ``own_account``.
    charged_requests = models.SmallIntegerField(default=0, db_default=0)
    charged_tokens = models.IntegerField(default=0, db_default=0)
    price_in_microusd = models.BigIntegerField(null=True)  # the price used, per million tokens
    price_out_microusd = models.BigIntegerField(null=True)
    cost_microusd = models.BigIntegerField(default=0)
    saved_microusd = models.BigIntegerField(default=0)  # what the cached answer cost when it was made

    prompt_line = models.CharField(max_length=200, blank=True)  # start of the last user message; empty if not stored
    reason = models.CharField(max_length=300, blank=True)  # why it went where it went, in one line

    request_json = models.JSONField(null=True)  # the client's body; null if the tenant keeps metadata only
    response_json = models.JSONField(null=True)  # a chat.completion (streams are put together), or the error body
    plan_json = models.JSONField(null=True)
    inputs_json = models.JSONField(null=True)  # what the plan was made of besides what it holds itself
    decision_trace_json = models.JSONField(default=list)  # [{step, outcome, why}] and the candidates' verdicts
    cache_json = models.JSONField(null=True)
    scheduler_json = models.JSONField(null=True)
    attempts_json = models.JSONField(
        default=list
    )  # [{deployment, provider, model, outcome, status, error, start_ms, ...}]
    spans_json = models.JSONField(default=list)  # [{name, kind, start_ms, duration_ms, parent, attributes}]

    class Meta:
        ordering: ClassVar = ["-started_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["-started_at", "-id"], include=["outcome"], name="trace_newest"),
            models.Index(fields=["outcome", "-started_at"], name="trace_outcome"),
            models.Index(fields=["request_id"], name="trace_request_id"),
            models.Index(fields=["error_code", "-started_at"], condition=~Q(error_code=""), name="trace_error"),
            models.Index(fields=["latency_ms"], include=["started_at", "outcome"], name="trace_latency"),
            models.Index(fields=["cost_microusd"], include=["started_at", "outcome"], name="trace_cost"),
            models.Index(Right(Cast("id", models.TextField()), 12), name="trace_tail"),
            GinIndex(OpClass(Upper("prompt_line"), "public.gin_trgm_ops"), name="trace_prompt"),
        ]

    def __str__(self) -> str:
        return f"Trace {str(self.id)[-12:]}"


class Usage(models.Model):
    """Sums of the traces of one hour that agree in all names; kept when the traces go. Written by ``rollup.py``."""

    id = models.UUIDField(primary_key=True)  # from the hour and the names
    hour = models.DateTimeField(db_index=True)
    sample = models.BooleanField()
    api_key = models.CharField(max_length=80)
    key_id = models.CharField(max_length=16)
    route = models.CharField(max_length=200)  # empty if there is no such route
    provider = models.CharField(max_length=64)
    deployment = models.CharField(max_length=64)
    model = models.CharField(max_length=200)
    policy = models.CharField(max_length=64)
    policy_version = models.IntegerField()
    lane = models.CharField(max_length=16)
    cache = models.CharField(max_length=8)
    outcome = models.CharField(max_length=12)
    error_code = models.CharField(max_length=64)

    requests = models.BigIntegerField()
    tokens_in = models.BigIntegerField()
    tokens_out = models.BigIntegerField()
    charged_requests = models.BigIntegerField()
    charged_tokens = models.BigIntegerField()
    cost_microusd = models.BigIntegerField()
    saved_microusd = models.BigIntegerField()
    latency = VectorField(dimensions=BUCKETS)  # traces in each bucket of traces.core.latencies
    ttft = VectorField(dimensions=BUCKETS)

    class Meta:
        verbose_name_plural = "usage"

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.route}"


class Attempts(models.Model):
    """Calls of one deployment in one hour; kept when the traces go. Written by ``rollup.py``."""

    id = models.UUIDField(primary_key=True)  # from the hour and the names
    hour = models.DateTimeField(db_index=True)
    provider = models.CharField(max_length=64)
    deployment = models.CharField(max_length=64)
    attempts = models.BigIntegerField()
    failed = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "attempts"

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.deployment}"
