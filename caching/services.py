"""Writes to the semantic cache that no request makes. They act on one tenant's schema, which the caller names."""

from datetime import datetime
from uuid import UUID

from django_tenants.utils import schema_context

from caching.models import SemanticEntry


def forget(*, schema: str, entry_id: UUID) -> bool:
    """False if that tenant has no such entry."""
    with schema_context(schema):
        deleted, _ = SemanticEntry.objects.filter(id=entry_id).delete()
    return deleted > 0


def purge_expired(*, schema: str, now: datetime) -> int:
    with schema_context(schema):
        deleted, _ = SemanticEntry.objects.filter(expires_at__lte=now).delete()
    return deleted
