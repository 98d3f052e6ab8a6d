"""How long traces are kept, and what goes when that is over: whole weeks, at the price of a dropped table."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection
from psycopg import sql

from tenants.models import Tenant
from traces.core.weeks import kept_from
from traces.partitions import DEFAULT, Partition, drop, partitions

OLD_STRAYS = "SELECT count(*) FROM {default} WHERE started_at < %s"
NO_STRAYS = "DELETE FROM {default} WHERE started_at < %s"


@dataclass(frozen=True, slots=True)
class Expired:
    """Of one tenant. ``strays``: traces of the default partition, which goes trace by trace."""

    kept_from: datetime
    weeks: tuple[Partition, ...]
    strays: int


def expired(tenant: Tenant, now: datetime) -> Expired:
    since = kept_from(now, tenant.trace_days or settings.RELAY_TRACE_DAYS)
    weeks = tuple(one for one in partitions(tenant.schema_name) if one.span and one.span.end <= since)
    default = sql.Identifier(tenant.schema_name, DEFAULT)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(OLD_STRAYS).format(default=default), [since])
        return Expired(since, weeks, cursor.fetchone()[0])


def prune(tenant: Tenant, now: datetime) -> Expired:
    """Removes what is over and says what it was; hourly usage stays.

    Raises django.db.OperationalError if a table is too busy to be dropped; what was dropped before stays so.
    """
    found = expired(tenant, now)
    for week in found.weeks:
        drop(tenant.schema_name, week.name)
    if found.strays:
        default = sql.Identifier(tenant.schema_name, DEFAULT)
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL(NO_STRAYS).format(default=default), [found.kept_from])
    return found
