"""The list of a long time is counted from hourly usage, and says the same as the traces would."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from tenants.models import Tenant
from traces.core.query import Cursor, TraceQuery, read_query, stamp
from traces.tests.rows import make_trace
from traces.viewer import counts, selectors

pytestmark = pytest.mark.django_db


def counted(tenant: Tenant, cap: int = 100, /, **given: str) -> tuple[counts.Counts, TraceQuery, Any]:
    now = timezone.now()
    query = read_query(given, tenant=tenant.slug, now=now)
    with tenant_context(tenant):
        traces = selectors.matching(query, prompts=True, outcomes=False)
        return counts.counts_of(tenant, query, traces, now, cap=cap), query, traces


@pytest.mark.parametrize("given", [{"range": "7d"}, {}, {"key": "batch"}, {"version": "4", "outcome": "failed"}])
def test_hours_and_their_ends_add_up_to_the_traces(tenant_a: Tenant, given: dict[str, str]) -> None:
    for minutes in range(0, 30 * 60, 37):
        rare = minutes % 5 == 0
        make_trace(
            tenant_a,
            age=timedelta(minutes=minutes),
            outcome="failed" if rare else "ok",
            api_key="batch" if minutes % 2 else "web",
            policy_version=4 if rare else 3,
        )

    found, query, traces = counted(tenant_a, 100, **given)

    with tenant_context(tenant_a):
        true = list(traces.values_list("started_at", "outcome"))
    assert found.outcomes.total() == len(true) > 0
    assert found.hours is not None
    chosen = [started for started, outcome in true if not query.outcomes or outcome in query.outcomes]
    assert sum(sum(step.values()) for step in found.drawn) == sum(found.hours.values()) == len(chosen)


def test_a_range_with_odd_ends_is_exact(tenant_a: Tenant) -> None:
    now = timezone.now()
    for minutes in range(0, 40 * 60, 53):
        make_trace(tenant_a, age=timedelta(minutes=minutes))

    since, until = now - timedelta(hours=30, minutes=17), now - timedelta(hours=3, minutes=41)
    found, _, traces = counted(tenant_a, 100, **{"range": "custom", "from": stamp(since), "to": stamp(until)})

    with tenant_context(tenant_a):
        assert found.outcomes.total() == traces.count() > 0


def test_pages_of_a_rare_name_are_whole(tenant_a: Tenant) -> None:
    for hours in range(100):
        make_trace(tenant_a, age=timedelta(hours=hours, minutes=3), model="rare")
        make_trace(tenant_a, age=timedelta(hours=hours, minutes=5), model="usual")
    found, _, traces = counted(tenant_a, range="7d", model="rare")

    def page(cursor: Cursor | None) -> selectors.Page:
        with tenant_context(tenant_a):
            return selectors.page_of(counts.within(traces, found, cursor), cursor, prompts=True)

    first = page(None)
    second = page(first.older)
    back = page(second.newer)

    assert [len(first.rows), len(second.rows), second.older] == [50, 50, None]
    assert {row.model for row in first.rows + second.rows} == {"rare"}
    assert len({row.pk for row in first.rows + second.rows}) == 100
    assert [row.pk for row in back.rows] == [row.pk for row in first.rows]


def test_a_name_that_nobody_has_finds_nothing_at_once(tenant_a: Tenant) -> None:
    make_trace(tenant_a)
    found, _, traces = counted(tenant_a, model="none")

    with tenant_context(tenant_a):
        assert not counts.within(traces, found, None)


def test_a_search_with_too_many_traces_says_so(tenant_a: Tenant) -> None:
    for minutes in range(4):
        make_trace(tenant_a, age=timedelta(minutes=minutes))

    found, _, _ = counted(tenant_a, 3, q="parcel")

    assert (found.outcomes.total(), found.more, found.hours) == (3, True, None)
