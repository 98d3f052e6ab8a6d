"""Documents that traces name by their digest: kept as long as a trace may name them (ORM; off the event loop).

A web process writes those of a configuration when it loads it, before it plans with it, and says once a day that they
are still in use. So a document that nobody used for longer than traces are kept is named by no trace.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, connection
from django.db.models import Max
from django.utils import timezone

from routing.models import DecisionContext
from routing.snapshot import Snapshot
from tenants.models import Tenant

AGAIN_S = 60.0
A_DAY = timedelta(days=1)
MARGIN = timedelta(days=14)  # traces go by whole weeks; some wait on a disk before they are stored
log = logging.getLogger("relay.contexts")

Documents = Mapping[str, Mapping[str, Any]]


def keep(documents: Documents) -> None:
    """Writes what is missing. Without it requests are served as well, so that a failure is only told, and made good by
    ``keep_forever``."""
    now = timezone.now()
    try:
        stored = dict(DecisionContext.objects.filter(digest__in=documents).values_list("digest", "seen_at"))
        rows = [DecisionContext(digest=one, document=documents[one], seen_at=now) for one in documents.keys() - stored]
        DecisionContext.objects.bulk_create(rows, ignore_conflicts=True)
        old = [digest for digest, seen_at in stored.items() if seen_at < now - A_DAY]
        DecisionContext.objects.filter(digest__in=old).update(seen_at=now)
    except Error:
        log.exception("the configuration that traces name could not be stored; it is tried again")


async def keep_forever(snapshot: Callable[[], Snapshot]) -> None:
    """Run beside the web server, once a process."""
    while True:
        await asyncio.sleep(AGAIN_S)
        await sync_to_async(_keep_and_close, thread_sensitive=False)(snapshot().contexts)


def _keep_and_close(documents: Documents) -> None:
    try:
        keep(documents)
    finally:
        connection.close()  # the worker thread is shared


def documents_of(digests: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Those that are there."""
    rows = DecisionContext.objects.filter(digest__in=set(digests))
    return dict(rows.values_list("digest", "document"))


def forget_unused(now: datetime) -> int:
    """Deletes what no trace of any tenant can name any more; how many that were."""
    longest = Tenant.objects.aggregate(days=Max("trace_days"))["days"] or 0
    kept = timedelta(days=max(longest, settings.RELAY_TRACE_DAYS)) + MARGIN
    return DecisionContext.objects.filter(seen_at__lt=now - kept).delete()[0]
