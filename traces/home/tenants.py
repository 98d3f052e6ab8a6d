"""For staff: all tenants together, and one line a tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tenants.models import Tenant
from traces.core.periods import Period
from traces.core.query import read_query
from traces.home.figures import Charts, by_model, by_step, charts_of
from traces.home.series import days_of, grouped, series_of
from traces.usage import Groups, Sums, total, usage


@dataclass(frozen=True, slots=True)
class AllTenants:
    totals: Sums
    charts: Charts
    rows: list[dict[str, Any]]  # {tenant, sums}, those with most requests first
    providers: list[Sums]
    days: list[Sums]


def all_tenants(tenants: Sequence[Tenant], period: Period) -> AllTenants:
    schemas = {tenant.slug: tenant.schema_name for tenant in tenants}
    found = usage(schemas, since=period.since, until=period.until, groups=Groups(by=("tenant",)))
    sums = {one.names[0]: one for one in found}
    parts = [one for one in by_step(schemas, period) if one.names[0] >= 0]
    rows = [{"tenant": tenant, "sums": sums.get(tenant.slug, Sums())} for tenant in tenants]
    return AllTenants(
        totals=total(found),
        charts=charts_of(series_of(parts, period), period, read_query({}, tenant="all", now=period.now)),
        rows=sorted(rows, key=lambda row: -row["sums"].requests),
        providers=[one for one in grouped(by_model(schemas, period), lambda one: one.names[1]) if one.names[0]],
        days=days_of(parts, period),
    )
