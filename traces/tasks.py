import logging

from celery import shared_task
from django.db import DatabaseError
from django.utils import timezone

from tenants.models import Tenant
from traces.partitions import keep_ahead
from traces.retention import prune

log = logging.getLogger(__name__)


@shared_task(name="traces.tasks.keep_partitions")  # type: ignore[untyped-decorator]
def keep_partitions() -> int:
    """Makes the weeks to come and drops those that are over; how many it dropped. A table that is busy is left for the
    next time, and one tenant's broken schema does not keep the others from their turn."""
    dropped = 0
    for tenant in Tenant.objects.exclude(schema_name="public"):
        try:
            keep_ahead(tenant.schema_name, timezone.now())
            dropped += len(prune(tenant, timezone.now()).weeks)
        except DatabaseError:
            log.exception("could not look after the partitions", extra={"schema": tenant.schema_name})
    return dropped
