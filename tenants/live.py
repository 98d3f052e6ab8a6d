"""Configuration that is live: a change of a row reaches every process within a second, with Redis up or down.

A trigger on each configuration table sends a PostgreSQL notification when its transaction commits, so it does not
matter who changed the row (the console, a command, SQL by hand). Processes listen on a connection of their own, and
load everything again after a reconnect, since what was sent meanwhile is lost.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import psycopg
from django.db import migrations

CHANNEL = "relay_configuration"
PING_S = 5.0
RECONNECT_S = 0.5
log = logging.getLogger("relay.live")

FUNCTION = f"""
CREATE OR REPLACE FUNCTION public.relay_configuration_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - 'last_used_at' = to_jsonb(NEW) - 'last_used_at' THEN
        RETURN NULL;
    END IF;
    PERFORM pg_notify('{CHANNEL}', '');
    RETURN NULL;
END $$;
"""


def announce_function() -> migrations.RunSQL:
    return migrations.RunSQL(FUNCTION, "DROP FUNCTION public.relay_configuration_changed()")


def announce_changes_of(table: str) -> migrations.RunSQL:
    """A migration step: from now on, changes of this (shared) table reach every process."""
    return migrations.RunSQL(
        f'CREATE TRIGGER relay_live AFTER INSERT OR UPDATE OR DELETE ON public."{table}" '
        "FOR EACH ROW EXECUTE FUNCTION public.relay_configuration_changed()",
        f'DROP TRIGGER relay_live ON public."{table}"',
    )


async def listen(dsn: str, changed: Callable[[], Awaitable[bool]], ping_s: float = PING_S) -> None:
    """Call ``changed`` at the start, after each change and after each reconnect; ends only when cancelled.

    It says whether all could be loaded. If not (tables of a newer version are being made), it is asked again."""
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, connect_timeout=3) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                loaded = await changed()
                while True:
                    if await _notified(connection, ping_s) or not loaded:
                        loaded = await changed()
        except (psycopg.Error, OSError, TimeoutError) as error:
            log.warning(
                "configuration: PostgreSQL is away, the last known one stays in use", extra={"error": str(error)}
            )
            await asyncio.sleep(RECONNECT_S)


async def _notified(connection: psycopg.AsyncConnection, ping_s: float) -> bool:
    """Whether something came within ``ping_s``; several notifications count as one. A dead connection raises."""
    async for _ in connection.notifies(timeout=ping_s, stop_after=1):
        return True
    async with asyncio.timeout(3):
        await connection.execute("SELECT 1")
    return False
