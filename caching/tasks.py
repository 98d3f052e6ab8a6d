import logging

from celery import shared_task
from django.db import DatabaseError
from django.utils import timezone

from caching import services
from tenants.models import Tenant

log = logging.getLogger(__name__)


@shared_task(name="caching.tasks.purge_expired")  # type: ignore[untyped-decorator]
def purge_expired() -> int:
    """One tenant's broken schema does not keep the others from being purged."""
    purged = 0
    for schema in Tenant.objects.values_list("schema_name", flat=True):
        try:
            purged += services.purge_expired(schema=schema, now=timezone.now())
        except DatabaseError:
            log.exception("could not purge the semantic cache", extra={"schema": schema})
    return purged
