"""Weeks of traces, and from when on they are kept."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.core.weeks import OLDEST, WEEK, Span, has_week, kept_from, read_bound, week_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC))


@given(INSTANTS)
def test_each_instant_lies_in_one_week_that_begins_on_monday_in_utc(instant: datetime) -> None:
    week = week_of(instant)
    assert week.holds(instant)
    assert (week.start.weekday(), week.start.hour, week.end - week.start) == (0, 0, WEEK)
    assert week_of(week.end).start == week.end
    assert week_of(instant.astimezone(ZoneInfo("Pacific/Kiritimati"))) == week


@pytest.mark.parametrize(("age", "gets_one"), [(0, True), (80, True), (91, False), (-13, True), (-15, False)])
def test_only_what_is_near_gets_a_week(age: int, gets_one: bool) -> None:
    assert has_week(NOW - timedelta(days=age), NOW) is gets_one


def test_bounds_are_read_as_postgresql_writes_them() -> None:
    said = "FOR VALUES FROM ('2026-11-16 00:00:00+00') TO ('2026-11-23 00:00:00+00')"
    assert read_bound(said) == week_of(NOW)
    assert read_bound(said.replace("'2026-11-16 00:00:00+00'", "MINVALUE")) == Span(OLDEST, week_of(NOW).end)
    assert read_bound("DEFAULT") is None


@given(INSTANTS, st.integers(1, 3650), st.sampled_from(["Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu", "UTC"]))
def test_a_months_quota_can_always_be_counted(now: datetime, days: int, zone: str) -> None:
    local = now.astimezone(ZoneInfo(zone))
    month = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    since = kept_from(now, days)
    assert since <= month
    assert since <= now - timedelta(days=days)
