"""Who acts, told to PostgreSQL, whose triggers write the audit log (`tenants/audit_sql.py`). Needs no models, so that
it can be said before they are loaded.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connection
from django.db.backends.signals import connection_created

TELL = "SELECT set_config('relay.actor', %s, false)"


@dataclass(frozen=True, slots=True)
class Actor:
    """``kind`` is one of AuditEntry.ActorKind; ``address`` is an IP address, if there is one."""

    kind: str
    name: str
    address: str = ""

    @property
    def told(self) -> str:
        return json.dumps({"kind": self.kind, "name": self.name[:150], "address": self.address[:45]})


_of_process: list[Actor] = []


def acts_by_default(actor: Actor) -> None:
    """For a process that is one act (a command) or one actor (a worker): who acts where nobody else is named."""
    _of_process[:] = [actor]
    connection_created.connect(_tell_new_connection, dispatch_uid="relay.audit")


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Changes by this thread's connection are the actor's."""
    _tell(actor.told)
    try:
        yield
    finally:
        try:
            _tell(_of_process[0].told if _of_process else "")
        except DatabaseError:  # a broken connection must not act for anybody any longer
            connection.close()


def _tell_new_connection(connection: Any, **about: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(TELL, [_of_process[0].told])


def _tell(actor: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(TELL, [actor])
