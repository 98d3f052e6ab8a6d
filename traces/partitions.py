"""The weekly partitions of a tenant's traces: made ahead and on demand, dropped when their time is over.

What comes for a week that has none goes to the default partition, and moves out of it when its week is made.
Statements wait for a lock ``LOCK_TIMEOUT`` at most: every reader and writer of the table would queue behind them.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql
from psycopg.errors import LockNotAvailable

from traces.core.weeks import AHEAD, Span, has_week, read_bound, week_of

PARENT, DEFAULT = "traces_trace", "traces_trace_default"
LOCK_TIMEOUT = "2s"
FOUND = """
SELECT part.relname, pg_get_expr(part.relpartbound, part.oid), pg_total_relation_size(part.oid),
  greatest(part.reltuples, 0)::bigint
FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid
WHERE inhparent = to_regclass(%s) ORDER BY part.relname
"""
BOUNDS = """
SELECT pg_get_expr(part.relpartbound, part.oid)
FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid WHERE inhparent = to_regclass(%s)
"""
MOVE = """
WITH moved AS (DELETE FROM {default} WHERE started_at >= {start} AND started_at < {end} RETURNING *)
INSERT INTO {part} SELECT * FROM moved
"""
STRAYS = "SELECT DISTINCT date_trunc('week', started_at, 'UTC') FROM {default} WHERE started_at BETWEEN %s AND %s"
log = logging.getLogger("relay.traces.partitions")


@dataclass(frozen=True, slots=True)
class Partition:
    """``span`` None: the default one. ``rows`` as of the last ANALYZE, ``size`` in bytes with indexes."""

    name: str
    span: Span | None
    size: int
    rows: int


def partitions(schema: str) -> list[Partition]:
    with connection.cursor() as cursor:
        cursor.execute(FOUND, [_quoted(schema, PARENT)])
        return [Partition(name, read_bound(bound), size, rows) for name, bound, size, rows in cursor.fetchall()]


def make_room(schema: str, instants: Iterable[datetime], now: datetime) -> None:
    """Make the missing weeks of these instants, if that can be done at once; else they go to the default partition."""
    wanted = {week_of(instant) for instant in instants if has_week(instant, now)}
    missing = _missing(schema, wanted)
    try:
        for week in missing:
            make_week(schema, week)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        log.warning("no partition made: the table is busy", extra={"schema": schema})


def keep_ahead(schema: str, now: datetime) -> None:
    """This week, the next, and those of which the default partition holds traces."""
    with connection.cursor() as cursor:
        statement = sql.SQL(STRAYS).format(default=sql.Identifier(schema, DEFAULT))
        cursor.execute(statement, [datetime.min.replace(tzinfo=now.tzinfo), datetime.max.replace(tzinfo=now.tzinfo)])
        strays = [week for (week,) in cursor.fetchall()]
    make_room(schema, [now, now + AHEAD, *strays], now)


def make_week(schema: str, week: Span) -> None:
    """Nothing happens if the week, or a part of it, has a partition already.

    Raises django.db.OperationalError if the default partition can't be locked in time.
    """
    name = f"{PARENT}_w{week.start:%Y%m%d}"
    part, parent, default = (sql.Identifier(schema, table) for table in (name, PARENT, DEFAULT))
    start, end = sql.Literal(week.start.isoformat()), sql.Literal(week.end.isoformat())
    with _impatient() as cursor:
        cursor.execute(sql.SQL("LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE").format(default=default))
        if not _missing(schema, [week]):
            return  # somebody was quicker
        cursor.execute(
            sql.SQL("CREATE TABLE {part} (LIKE {parent} INCLUDING ALL EXCLUDING INDEXES)").format(
                part=part, parent=parent
            )
        )
        cursor.execute(sql.SQL(MOVE).format(default=default, part=part, start=start, end=end))
        cursor.execute(
            sql.SQL("ALTER TABLE {parent} ATTACH PARTITION {part} FOR VALUES FROM ({start}) TO ({end})").format(
                parent=parent, part=part, start=start, end=end
            )
        )


def drop(schema: str, name: str) -> None:
    """Raises django.db.OperationalError if the table can't be locked in time."""
    part, parent = sql.Identifier(schema, name), sql.Identifier(schema, PARENT)
    with _impatient() as cursor:
        cursor.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(parent, part))
        cursor.execute(sql.SQL("DROP TABLE {}").format(part))


def _missing(schema: str, weeks: Iterable[Span]) -> list[Span]:
    """Weeks whose beginning no partition but the default one would take; none if the table isn't there."""
    with connection.cursor() as cursor:
        cursor.execute(BOUNDS, [_quoted(schema, PARENT)])
        taken = [read_bound(bound) for (bound,) in cursor.fetchall()]
    if not taken:
        return []
    return sorted(week for week in weeks if not any(span and span.holds(week.start) for span in taken))


def _quoted(schema: str, table: str) -> str:
    return sql.Identifier(schema, table).as_string()


@contextmanager
def _impatient() -> Iterator[CursorWrapper]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        yield cursor
