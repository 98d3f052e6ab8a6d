"""The admin API on quotas and usage."""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import redis
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from relay_project.admin_api.base import AdminView, as_list, limit_of, not_found, page, read, tenant_of
from relay_project.admin_api.docs import DAYS, PAGE, TENANT, listed, said
from relay_project.admin_api.serializers import (
    Note,
    QuotaChange,
    QuotaIn,
    QuotaOut,
    QuotaUseOut,
    ResetOut,
    UsageOut,
)
from relay_project.usage_report import MOST_DAYS, Place, usage
from routing.core.request import InvalidRequest
from tenants import auth, services
from tenants.models import ApiKey, Quota, Tenant
from tenants.redis import RedisAway
from tenants.resets import CountersAway, named, reset
from tenants.usage import uses


class Quotas(AdminView):
    @extend_schema(**said("List quotas", listed(QuotaOut), TENANT, *PAGE, operation_id="admin_list_quotas"))
    def get(self, request: Request) -> Response:
        rows = Quota.objects.select_related("tenant", "api_key")
        if slug := request.query_params.get("tenant"):
            rows = rows.filter(tenant=tenant_of(slug))
        return page(request, rows, QuotaOut, by="id")

    @extend_schema(**said("Create a quota", QuotaOut, status=201, request=QuotaIn))
    def post(self, request: Request) -> Response:
        given = read(QuotaIn, request)
        tenant, key_id = tenant_of(given.pop("tenant")), given.pop("key", None)
        key = ApiKey.objects.filter(tenant=tenant, key_id=key_id).first() if key_id else None
        if key_id and key is None:
            raise InvalidRequest(f"{tenant.slug} has no key “{key_id}”.", "key")
        row = services.save_quota(Quota(tenant=tenant, api_key=key, **given))
        return Response(QuotaOut(row).data, status=201)


class OneQuota(AdminView):
    @extend_schema(**said("One quota, with what is used of it now", QuotaUseOut))
    def get(self, request: Request, pk: int) -> Response:
        row = found(pk)
        use = next(iter(uses([auth.limit_of(row)]) or ()), None)
        row.used = use.left.used if use else None  # type: ignore[attr-defined]
        row.resets_at = datetime.fromtimestamp(use.counter.end, UTC) if use else None  # type: ignore[attr-defined]
        return Response(QuotaUseOut(row).data)

    @extend_schema(**said("Change a quota", QuotaOut, request=QuotaChange(partial=True)))
    def patch(self, request: Request, pk: int) -> Response:
        row = found(pk)
        for name, value in read(QuotaChange, request, partial=True).items():
            setattr(row, name, value)
        return Response(QuotaOut(services.save_quota(row)).data)

    @extend_schema(**said("Delete a quota", None, status=204))
    def delete(self, request: Request, pk: int) -> Response:
        found(pk).delete()
        return Response(status=204)


class ResetQuota(AdminView):
    @extend_schema(**said("Take off what a quota has counted in its present window", ResetOut, request=Note))
    def post(self, request: Request, pk: int) -> Response:
        note = read(Note, request).get("note", "")
        try:
            rows = reset(limits=[named(found(pk))], author="admin token", now=time.time(), note=note)
        except (redis.RedisError, CountersAway) as error:
            raise RedisAway from error
        return Response({"taken_off": sum(row.amount for row in rows)})


class Usage(AdminView):
    @extend_schema(**said("What was used by day, tenant and model", listed(UsageOut), TENANT, *DAYS, *PAGE))
    def get(self, request: Request) -> Response:
        limit, after = limit_of(request), request.query_params.get("after", "")
        first, last = days_of(request.query_params.get("from", ""), request.query_params.get("to", ""))
        slug = request.query_params.get("tenant")
        tenants: Sequence[Tenant] = [tenant_of(slug)] if slug else Tenant.objects.exclude(schema_name="public")
        place = place_of(after) if after else None
        rows = usage(tenants=list(tenants), first=first, last=last, after=place, limit=limit + 1)
        shown = rows[:limit]
        last_id = "{day}|{tenant}|{model}".format(**shown[-1]) if shown else None
        return as_list(UsageOut(shown, many=True).data, last_id, more=len(rows) > limit)


def found(pk: int) -> Quota:
    row = Quota.objects.select_related("tenant", "api_key").filter(pk=pk).first()
    if row is None:
        raise not_found("quota", str(pk))
    return row


def days_of(first: str, last: str) -> tuple[date, date]:
    """Seven days up to today where nothing is said. Raises InvalidRequest."""
    end = _day(last, "to") if last else timezone.now().date()
    begin = _day(first, "from") if first else end - timedelta(days=6)
    if not 0 <= (end - begin).days < MOST_DAYS:
        raise InvalidRequest(f"“from” must not be after “to”, nor {MOST_DAYS} days or more before it.", "from")
    return begin, end


def place_of(after: str) -> Place:
    """Raises InvalidRequest."""
    day, _, rest = after.partition("|")
    tenant, bar, model = rest.partition("|")
    if not bar or "\x00" in rest:
        raise InvalidRequest("“after” must be the “last_id” of the page before.", "after")
    return Place(_day(day, "after"), tenant, model)


def _day(text: str, param: str) -> Any:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"“{param}” must be a day like 2026-11-21.", param) from None
    if not 1970 <= day.year <= 9998:
        raise InvalidRequest(f"“{param}” must be a day like 2026-11-21.", param)
    return day
