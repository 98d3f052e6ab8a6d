"""Celery's part in runs, and in the scores of canaries. ``execute_run`` and ``score_canary`` have a queue of their own,
“evals”: they take minutes and up to one, and what the platform does every few seconds must not wait for them."""

import logging

from celery import shared_task
from django.db import DatabaseError
from django_tenants.utils import tenant_context
from kombu.exceptions import OperationalError

from evals import runs
from evals.models import Run
from routing.canary_scores import with_work
from tenants.models import Tenant

log = logging.getLogger("relay.evals")


@shared_task(name="evals.tasks.execute_run")  # type: ignore[untyped-decorator]
def execute_run(tenant: str, run_id: int) -> bool:
    """True if this worker carried it. A run that another one has is left alone, so a message may come twice."""
    from evals.executing import execute  # with OpenAI's client, 30 MB; web processes only send this task

    found = Tenant.objects.filter(slug=tenant).first()
    return found is not None and execute(found, run_id)


@shared_task(name="evals.tasks.resume_runs")  # type: ignore[untyped-decorator]
def resume_runs() -> int:
    """Runs whose worker died, or of which none was told, are offered again; one tenant's broken schema does not keep
    the others from it."""
    offered = 0
    for tenant in Tenant.objects.exclude(schema_name="public"):
        try:
            with tenant_context(tenant):
                left = runs.abandoned()
        except DatabaseError:
            log.exception("could not look for abandoned runs", extra={"schema": tenant.schema_name})
            continue
        for run_id in left:
            execute_run.apply_async((tenant.slug, run_id), expires=10)
        offered += len(left)
    return offered


@shared_task(name="evals.tasks.score_canaries")  # type: ignore[untyped-decorator]
def score_canaries() -> int:
    found = with_work()
    for pk in found:
        score_canary.apply_async((pk,), expires=10)
    return len(found)


@shared_task(name="evals.tasks.score_canary")  # type: ignore[untyped-decorator]
def score_canary(pk: int) -> int:
    from evals import canary_scores  # with OpenAI's client, see above

    return canary_scores.score_canary(pk)


def send(tenant: Tenant, run: Run) -> None:
    """To a worker. With Redis away, ``resume_runs`` does it once it is back."""
    try:
        execute_run.apply_async((tenant.slug, run.pk), retry=False)
    except OperationalError:
        log.warning("no worker could be told of an eval run; it will be offered again")
