"""Every write to shadows that is not a copy's: start, stop, and forgetting old pairs."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone
from django_tenants.utils import tenant_context

from routing.credentials import stored_credentials
from routing.models import Deployment, PolicyVersion, Route, Shadow
from routing.shadows.arm import problem_with
from routing.shadows.models import ShadowPair
from tenants.models import Tenant

log = logging.getLogger("relay.shadow")


def start_shadow(
    *,
    route: Route,
    candidate: Deployment | PolicyVersion,
    percent: float,
    budget_microusd: int,
    concurrent: int = 4,
    similarity: bool = False,
    until: datetime | None = None,
    by: str = "",
) -> Shadow:
    """In force everywhere within a second. Raises ValidationError."""
    row = Shadow(route=route, percent=percent, budget_microusd=budget_microusd, concurrent=concurrent)
    row.similarity, row.until, row.started_by = similarity, until, by[:150]
    if isinstance(candidate, Deployment):
        row.deployment, row.name = candidate, candidate.slug
    else:
        row.policy_version, row.name = candidate, f"{candidate.policy.slug}@{candidate.number}"
    _check(row)
    row.clean_fields(exclude=["name"])
    try:
        with transaction.atomic():
            ended = Shadow.objects.filter(route=route, stopped_at=None, until__lte=timezone.now())
            ended.update(stopped_at=timezone.now())
            row.save()
    except IntegrityError:
        raise ValidationError({"route": f"The route {route.name} has a shadow already: stop that first."}) from None
    return row


def _check(row: Shadow) -> None:
    """Raises ValidationError."""
    route = row.route
    if route.alias_of_id is not None:
        raise ValidationError({"route": f"{route.name} is another name for {route.alias_of}: start it there."})
    if row.policy_version is not None and row.policy_version.policy.tenant_id != route.tenant_id:
        raise ValidationError({"policy_version": "This policy is not the route's own."})
    if row.until is not None and row.until <= timezone.now():
        raise ValidationError({"until": "This moment is over."})
    if problem := problem_with(row, stored_credentials()):
        raise ValidationError({"deployment" if row.deployment else "policy_version": problem})


def stop_shadow(*, shadow: Shadow) -> bool:
    """No new copies within a second; those under way end. False if it was stopped before."""
    return Shadow.objects.filter(pk=shadow.pk, stopped_at=None).update(stopped_at=timezone.now()) == 1


def forget_pairs() -> int:
    """Pairs are kept for as long as the tenant's traces; how many went. A broken schema does not keep the others."""
    gone = 0
    for tenant in Tenant.objects.exclude(schema_name="public"):
        since = timezone.now() - timedelta(days=tenant.trace_days or settings.RELAY_TRACE_DAYS)
        try:
            with tenant_context(tenant):
                gone += ShadowPair.objects.filter(at__lt=since).delete()[0]
        except DatabaseError:
            log.exception("old pairs of shadows stay", extra={"tenant": tenant.slug})
    return gone
