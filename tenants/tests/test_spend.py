from hypothesis import given
from hypothesis import strategies as st

from tenants.core.limits import Limit
from tenants.core.spend import NOTHING, Left, Spend, as_duration, left_of, nearest, runs_out_at

COUNTS = st.integers(0, 10**12)
SPENDS = st.builds(Spend, COUNTS, COUNTS, COUNTS, COUNTS)


def limit_of(metric: str = "requests", limit: int = 100) -> Limit:
    return Limit("q1", metric, "day", limit)


@given(SPENDS, SPENDS)
def test_spends_add_up_in_each_metric(one: Spend, other: Spend) -> None:
    for metric in ("requests", "tokens", "cost", "neurons"):
        assert (one + other).of(metric) == one.of(metric) + other.of(metric)
    assert one + NOTHING == one


def test_the_nearest_limit_of_a_metric_is_the_one_with_least_left() -> None:
    wide, tight = Left(limit_of(), 10, 5), Left(limit_of(limit=20), 15, 5)
    tokens = Left(limit_of("tokens", 1), 1, 5)
    assert nearest([wide, tight, tokens], "requests") == tight
    assert nearest([wide, tight], "tokens") is None
    assert tight.said == "15 of 20 requests a day"


@given(COUNTS, st.sampled_from(["tokens", "neurons"]))
def test_a_begun_unit_counts_whole(steps: int, metric: str) -> None:
    left = left_of(limit_of(metric), steps, 60)
    assert (left.used - 1) * left.limit.unit < steps <= left.used * left.limit.unit
    assert 0 <= left.share <= 1


@given(st.integers(0, 400), st.integers(1, 86_400))
def test_a_limit_runs_out_within_its_window_or_not_at_all(used: int, passed: int) -> None:
    left, now = Left(limit_of(), used, 86_400 - passed), 1_000_000.0 + passed
    at = runs_out_at(left, start=1_000_000, now=now)
    if used >= 100:
        assert at == now
    elif at is None:
        assert used * 86_400 <= 100 * passed
    else:
        assert now < at < 1_086_400 and abs((at - 1_000_000) * used - 100 * passed) < 1


def test_nothing_used_or_no_time_passed_tells_nothing() -> None:
    assert runs_out_at(Left(limit_of(), 0, 60), start=0, now=60.0) is None
    assert runs_out_at(Left(limit_of(), 5, 60), start=60, now=60.0) is None


def test_durations_look_as_openai_writes_them() -> None:
    assert [as_duration(seconds) for seconds in (1, 59, 360, 86_341)] == ["1s", "59s", "6m0s", "23h59m1s"]


@given(st.integers(0, 10**7))
def test_durations_lose_nothing(seconds: int) -> None:
    text, total = as_duration(seconds), 0
    for name, unit in (("h", 3600), ("m", 60), ("s", 1)):
        if name in text:
            number, text = text.split(name)
            total += int(number) * unit
    assert total == seconds
