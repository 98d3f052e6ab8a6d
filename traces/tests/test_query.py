from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from traces.core import charts, formats
from traces.core.query import Cursor, read_cursor, read_query, steps

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAMES = "range from to outcome q model cache version latency_min cost_min after before"
TEXTS = ["custom", "7d", "failed,ok", "exact", "12", "nan", "1e400", "2026-11-20T10:00:00"]
URLS = st.dictionaries(st.sampled_from(NAMES.split()), st.text() | st.sampled_from(TEXTS))


@given(URLS)
def test_any_url_gives_a_bounded_query_that_survives_its_own_link(asked: dict[str, str]) -> None:
    query = read_query(asked, tenant="acme", now=NOW)

    assert query.since < (query.until or NOW)
    assert "\x00" not in query.search
    assert read_query(query.params(), tenant="acme", now=NOW) == query
    read_cursor(asked)


def test_a_cursor_comes_back_from_its_text() -> None:
    cursor = Cursor(datetime(2026, 11, 20, 9, 8, 7, 123456, tzinfo=UTC), UUID(int=7), newer=True)

    assert read_cursor({"after": cursor.text()}) == cursor


@given(st.integers(1, 10**8))
def test_the_histogram_covers_the_range_with_few_bars(seconds: int) -> None:
    width, number = steps(NOW - timedelta(seconds=seconds), NOW)

    assert width * number >= seconds
    assert 1 <= number <= 61


OUTCOMES = ["ok", "cached", "fell_back", "limited", "rejected", "failed", "cancelled"]


@given(st.lists(st.dictionaries(st.sampled_from(OUTCOMES), st.integers(0, 999)), max_size=40))
def test_bars_stay_in_their_box_and_lose_no_request(drawn: list[dict[str, int]]) -> None:
    for step, bar in zip(drawn, charts.bars(drawn, width=100, height=50), strict=True):
        assert sum(part.count for part in bar.segments) == bar.total == sum(step.values())
        assert sum(part.height for part in bar.segments) <= 50.1
        assert f"{bar.total:,} request" in bar.words


def test_a_line_breaks_where_a_value_is_unknown() -> None:
    assert charts.line([1, None, 2, 4], width=30, height=4) == "M0.0 3.0h0.1M20.0 2.0L30.0 0.0"
    assert charts.line([], width=30, height=4) == ""


@given(st.floats(0, 1e9))
def test_a_round_top_lies_above_the_highest_value(most: float) -> None:
    assert most <= charts.round_top(most) <= max(4, most * 2.0)


def test_numbers_read_as_people_write_them() -> None:
    durations = [None, 0, 0.4, 870, 1840, 12_340, 125_000, 120_000, 7_210_000, 7_200_000]
    assert [formats.duration(ms) for ms in durations] == [
        "–", "0 ms", "<1 ms", "870 ms", "1.84 s", "12.3 s", "2 min 5 s", "2 min", "2 h", "2 h",
    ]  # fmt: skip
    amounts = [None, 0, 12, 1500, 1_580_000, -2_000_000]
    assert [formats.money(amount) for amount in amounts] == ["–", "$0", "<$0.0001", "$0.0015", "$1.58", "−$2.00"]
    assert [formats.short_count(n) for n in (950, 1200, 3_400_000, 2000)] == ["950", "1.2k", "3.4M", "2k"]
    ages = (-3, 42, 540, 7_300, 200_000, 90 * 86_400)
    assert [formats.relative(age) for age in ages] == [
        "just now", "42 s ago", "9 min ago", "2 h ago", "2 d ago", "3 months ago",
    ]  # fmt: skip
    assert (formats.percent(0.0804), formats.percent(None), formats.count(1997), formats.count(None)) == (
        "8.0%", "–", "1,997", "–",
    )  # fmt: skip
    assert [formats.size(n) for n in (980, 12_400, 3_400_000)] == ["980 characters", "12 KB", "3.4 MB"]
    assert (formats.change(112, 100), formats.change(9, 10), formats.change(1, 0)) == ("+12.0%", "−10.0%", "")
    assert (formats.change(10, 1), formats.change(11, 1)) == ("+900.0%", "")
    assert (formats.change_in_points(0.08, 0.071), formats.change_in_points(None, 1)) == ("+0.9 pt", "")
    assert (formats.change_in_duration(800, 980), formats.change_in_duration(None, 1)) == ("−180 ms", "")


def test_a_custom_range_is_used_and_kept_and_a_reversed_one_is_not() -> None:
    asked = {"range": "custom", "from": "2026-11-20T10:00:00", "to": "2026-11-20T11:00:00+00:00", "latency_min": "5"}
    query = read_query(asked, tenant="acme", now=NOW)
    late = read_query({"range": "custom", "from": "2027-01-01T00:00:00"}, tenant="acme", now=NOW)

    assert (query.since.hour, query.until and query.until.hour) == (10, 11)
    assert "from=2026-11-20T10%3A00%3A00" in query.url(q="parcel")
    assert query.number("latency_min") == 5
    assert query.narrowed
    assert (late.range, late.until) == ("24h", None)
