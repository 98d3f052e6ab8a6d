"""Windows of limits, in every time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.core.limits import Limit, counter_of, window, window_of

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"]
NAMES = ["minute", "hour", "day", "month"]
MOMENTS = st.floats(min_value=datetime(2000, 1, 1).timestamp(), max_value=datetime(2100, 1, 1).timestamp())


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("minute", "2026-12-31T23:59", "2027-01-01T00:00"),
        ("hour", "2026-12-31T23:00", "2027-01-01T00:00"),
        ("day", "2026-12-31T00:00", "2027-01-01T00:00"),
        ("month", "2026-12-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_windows_follow_the_calendar(name: str, start: str, end: str) -> None:
    moment = datetime(2026, 12, 31, 23, 59, 59, 999, tzinfo=UTC)
    assert window(name, moment) == (
        datetime.fromisoformat(start).replace(tzinfo=UTC),
        datetime.fromisoformat(end).replace(tzinfo=UTC),
    )


@given(st.sampled_from(NAMES), st.sampled_from(ZONES), MOMENTS)
def test_windows_tile_time_without_gap(name: str, zone: str, now: float) -> None:
    limit = Limit("q1", "requests", name, 1, timezone=zone)
    start, end = window_of(limit, now)
    assert start <= now < end
    assert window_of(limit, start) == window_of(limit, end - 1) == (start, end)
    assert window_of(limit, end)[0] == end
    assert window_of(limit, start - 1)[1] == start


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 3, 30), 24), ((2026, 10, 25), 25)])
def test_a_day_is_as_long_as_its_clocks_say(day: tuple[int, int, int], hours: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    noon = datetime(*day, 12, tzinfo=berlin).timestamp()
    start, end = window_of(Limit("q1", "requests", "day", 1, timezone="Europe/Berlin"), noon)
    assert end - start == hours * 3600
    assert datetime.fromtimestamp(start, berlin) == datetime(*day, tzinfo=berlin)


def test_a_window_has_one_counter_and_the_next_another() -> None:
    limit = Limit("d7", "neurons", "day", 10_000, deployment="cf")
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    first, same, later = (counter_of(limit, (noon + timedelta(hours=hours)).timestamp()) for hours in (0, 11, 12))
    assert first == same and first.key == f"relay:{{ledger}}:d7:neurons:day:{first.start}"
    assert later.start == first.end and later.key != first.key
    assert first.end < first.expires, "it can still be settled for a while"


def test_neurons_come_in_fractions() -> None:
    assert Limit("d7", "neurons", "day", 1).unit == 1_000_000
    assert Limit("d7", "cost", "day", 1).unit == 1
    assert Limit("d7", "cost", "day", 1).words == "cost a day"
