"""Seen before: answers that may serve another wording of the question, in the schema of the tenant that paid for it."""

from typing import ClassVar

from django.db import models
from pgvector.django import HnswIndex, VectorField

DIMENSIONS = 384


class SemanticEntry(models.Model):
    """Written by ``semantic.py``. Names of policies and deployments are kept as text: the entry outlives those rows."""

    id = models.UUIDField(primary_key=True)  # from scope and question: the same question again replaces the entry
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    scope = models.BinaryField(max_length=32, db_index=True)  # core.keys.semantic_scope
    embedding = VectorField(dimensions=DIMENSIONS)
    question = models.TextField()
    answer = models.JSONField()  # a whole chat.completion
    source_trace = models.UUIDField()
    policy = models.CharField(max_length=64)
    policy_version = models.IntegerField()
    deployment = models.CharField(max_length=64)
    model = models.CharField(max_length=200)
    hits = models.IntegerField(default=0)
    last_hit_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "semantic entries"
        indexes: ClassVar = [
            HnswIndex(fields=["embedding"], name="semantic_embedding", opclasses=["public.vector_cosine_ops"]),
        ]

    def __str__(self) -> str:
        return self.question[:80]
