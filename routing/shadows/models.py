"""What both sides made of one request, in the schema of the tenant that sent it: an answer is the tenant's."""

from typing import ClassVar

from django.db import models


class ShadowPair(models.Model):
    """Written by ``copies.py``. The client's own answer is in its trace; the candidate's is kept here, unless the
    tenant keeps metadata only. A copy is no trace: it is in no usage report, quota, alert or health figure."""

    shadow_id = models.BigIntegerField()  # no foreign key crosses schemas
    at = models.DateTimeField()
    trace_id = models.UUIDField()  # the client's request
    stream = models.BooleanField()
    base_deployment = models.CharField(max_length=64)
    candidate_deployment = models.CharField(max_length=64)
    base_failed = models.BooleanField()
    candidate_failed = models.BooleanField()
    error_code = models.CharField(max_length=64)  # why the candidate failed
    base_latency_ms = models.FloatField(null=True)  # of the call that answered, without queue
    candidate_latency_ms = models.FloatField(null=True)
    base_ttft_ms = models.FloatField(null=True)  # the same of streams
    candidate_ttft_ms = models.FloatField(null=True)
    base_tokens_out = models.IntegerField(null=True)
    candidate_tokens_out = models.IntegerField(null=True)
    base_cost_microusd = models.BigIntegerField()
    candidate_cost_microusd = models.BigIntegerField()
    base_length = models.IntegerField(null=True)  # characters
    candidate_length = models.IntegerField(null=True)
    similarity = models.FloatField(null=True)  # cosine of the answers' vectors
    answer = models.TextField()  # of the candidate; cut at copies.LONGEST

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["shadow_id", "-id"], name="shadow_pair_newest"),
            models.Index(fields=["at"], name="shadow_pair_at"),
        ]

    def __str__(self) -> str:
        return f"Pair {self.pk} of shadow {self.shadow_id}"
