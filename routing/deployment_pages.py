"""What the console says of deployments beside their rows: how they did lately, who needs them, and a test."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST
from redis.asyncio import Redis
from redis.exceptions import RedisError

from routing.core.outcomes import Sums, p95_ms
from routing.credentials import credential_for, stored_credentials
from routing.models import Deployment, Route
from routing.outcomes import Outcomes
from routing.probe import probe
from routing.snapshot import target_of
from tenants.page import is_platform_staff, with_tenant

HOUR = 2  # of core.outcomes.WINDOWS_MIN
log = logging.getLogger("relay.console")


@dataclass(frozen=True, slots=True)
class Lately:
    """Attempts and failures of the last hour; p95 (milliseconds) of the last five minutes, None without answers."""

    attempts: int = 0
    failed: int = 0
    p95_ms: float | None = None

    @property
    def failed_percent(self) -> float | None:
        return 100 * self.failed / self.attempts if self.attempts else None


def lately() -> dict[str, Lately]:
    """By deployment, over all tenants and processes. Empty while Redis is away."""
    try:
        return {name: _lately(sums) for name, sums in async_to_sync(_sums)().items()}
    except (RedisError, OSError) as error:
        log.warning("outcomes could not be read", extra={"error": type(error).__name__})
        return {}


async def _sums() -> Mapping[str, Sums]:
    outcomes, now = Outcomes(), time.time()
    async with Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=1) as redis:
        await outcomes.share(redis, now)
    return outcomes.sums(now)


def _lately(sums: Sums) -> Lately:
    attempts, failed = sums.windows[HOUR]
    return Lately(attempts, failed, p95_ms(sums))


def needed_by(row: Deployment, routes: Any) -> tuple[list[str], list[str]]:
    """Names of the routes among ``routes`` that lead to it, and of those that lead nowhere else that is on."""
    through = routes.filter(steps__deployment=row, enabled=True).distinct().prefetch_related("steps__deployment")
    names, alone = [], []
    for route in through.order_by("name"):
        names.append(route.name)
        others = (step.deployment for step in route.steps.all() if step.deployment_id != row.pk)
        if not any(other.enabled for other in others):
            alone.append(route.name)
    return names, alone


def routes_seen(request: HttpRequest, tenant: Any) -> Any:
    if tenant is None and is_platform_staff(request):
        return Route.objects.all()
    return Route.objects.filter(tenant__in=[tenant]) | Route.objects.filter(tenant=None)


def test_view(site_admin: Any) -> Callable[[HttpRequest, str], HttpResponse]:
    """Staff only: it costs a few tokens, and an answer may quote the account."""

    @require_POST
    def view(request: HttpRequest, object_id: str) -> HttpResponse:
        row = site_admin.get_object(request, object_id)
        if row is None or not is_platform_staff(request):
            raise Http404("Nothing here has this address.")
        target = target_of(row, credential_for(row.provider, None, stored_credentials()))
        done = async_to_sync(probe)(target, row.serves)
        if done.answered:
            messages.success(request, f"{row.slug} answered in {done.latency_ms:,.0f} ms: {done.said}")
        else:
            messages.error(request, f"{row.slug} did not answer: {done.said}")
        return HttpResponseRedirect(with_tenant(request, reverse("admin:routing_deployment_change", args=[row.pk])))

    return view
