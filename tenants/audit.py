"""The audit log from Python: acts that change no row, forms of the console, and the proof that the chain holds.

How changes of rows get there, `tenants/audit_sql.py` says.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from tenants.acting import Actor, acting
from tenants.audit_sql import hashed
from tenants.core.audit import Link, Verdict, verify
from tenants.models import AuditEntry, Tenant

READ_AT_ONCE = 1_000
CHAIN = f"SELECT number, previous, hash, {hashed('entry')} FROM tenants_auditentry entry ORDER BY number"
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


def record(
    *,
    action: str,
    object: str,
    name: str = "",
    tenant: Tenant | None = None,
    actor: Actor | None = None,
    **facts: Any,
) -> None:
    """An act that changes no row, of who is ``acting`` unless an actor is given. ``facts`` are shown and must hold no
    secret."""
    who = json.loads(actor.told) if actor is not None else _acting_now()
    AuditEntry.objects.create(
        at=timezone.now(),
        actor_kind=who.get("kind", AuditEntry.ActorKind.DATABASE),
        actor=who.get("name", ""),
        address=who.get("address", ""),
        tenant_id=tenant.pk if tenant else None,
        tenant=tenant.slug if tenant else "",
        action=action,
        object=object,
        name=name[:200],
        changes={fact: [None, value] for fact, value in facts.items()},
    )


def _acting_now() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(nullif(current_setting('relay.actor', true), ''), '{}')")
        return dict(json.loads(cursor.fetchone()[0]))


def verify_log(expected: str = "") -> Verdict:
    """Walks the whole log as it is stored. ``expected``: a head that was noted earlier."""
    return verify(_links(), expected)


def _links() -> Iterator[Link]:
    after = "WHERE number > %s OR number IS NULL"
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(CHAIN.replace("ORDER BY", f"{after} ORDER BY") + f" LIMIT {READ_AT_ONCE}", [last])
            rows = cursor.fetchall()
        for number, previous, digest, *fields in rows:
            yield Link(number or 0, previous, digest, tuple(fields))
        if len(rows) < READ_AT_ONCE or rows[-1][0] is None:
            return
        last = rows[-1][0]


class ActorMiddleware:
    """What a form of the console changes is the act of who sent it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in SAFE or not request.path.startswith("/admin/"):
            return self.get_response(request)
        name = request.user.get_username() or "(not signed in)"
        with acting(Actor(AuditEntry.ActorKind.USER, name, address_of(request))):
            return self.get_response(request)


def address_of(request: HttpRequest) -> str:
    """Whom the server heard; behind a proxy, uvicorn puts there what a trusted proxy says."""
    return str(request.META.get("REMOTE_ADDR", ""))
