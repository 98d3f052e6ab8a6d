"""Reading the configuration anew, in all processes. A changed row does that by itself; this is for a doubt about it."""

from django.db import connection, transaction

from tenants.audit import record
from tenants.live import CHANNEL
from tenants.models import AuditEntry


@transaction.atomic
def reload_providers() -> None:
    """Every process loads its snapshot again within a second of the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
    record(action=AuditEntry.Action.RELOADED, object="routing_provider", name="all")
