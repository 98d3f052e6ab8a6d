"""The time that a page shows, in steps of whole hours."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.core.periods import HOUR, SPANS, floor_to, period_of


@given(st.datetimes(datetime(1980, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC)), st.sampled_from(sorted(SPANS)))
def test_a_period_is_long_enough_and_ends_in_the_step_of_now(now: datetime, span: str) -> None:
    period = period_of(span, now)
    length, width = SPANS[span]
    starts = period.starts()
    assert length <= now - period.since < length + width
    assert starts[-1] <= now < period.until
    assert all(floor_to(start, HOUR) == start for start in [*starts, period.before])
    assert timedelta() <= (period.since - period.before) - (now - period.since) < HOUR


@pytest.mark.parametrize(("step", "taken"), [(-5, 0), (3, 3), (99, 24)])
def test_a_clock_that_is_wrong_counts_at_the_ends(step: int, taken: int) -> None:
    assert period_of("24h", datetime(2026, 11, 21, 12, 30, tzinfo=UTC)).clamp(step) == taken
