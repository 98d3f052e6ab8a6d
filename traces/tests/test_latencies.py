"""Percentiles from counts in buckets."""

from hypothesis import given
from hypothesis import strategies as st

from traces.core.latencies import BUCKETS, added, lower_bound, percentile

WITHIN = 2 ** (1 / 6)


def counted(values: list[float]) -> tuple[float, ...]:
    counts = [0.0] * BUCKETS
    for value in values:
        counts[max(bucket for bucket in range(BUCKETS) if bucket == 0 or lower_bound(bucket) <= value)] += 1
    return tuple(counts)


@given(st.lists(st.floats(1, 900_000), min_size=1, max_size=60), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_lies_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    found = percentile(counted(values), share)
    rank = min(len(values) - 1, max(0, -int(-share * len(values) // 1) - 1))
    true = sorted(values)[rank]
    assert found is not None and true / WITHIN <= found <= true * WITHIN


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile((), 0.5) is None
    assert percentile([0.0] * BUCKETS, 0.5) is None


def test_a_share_above_all_is_the_upper_end() -> None:
    assert percentile([1.0], 1.5) == lower_bound(1)


def test_sums_of_counts_take_an_empty_one_as_nothing() -> None:
    assert added((1.0, 2.0), (3.0, 4.0)) == (4.0, 6.0)
    assert added((), (3.0, 4.0)) == added((3.0, 4.0), ()) == (3.0, 4.0)
    assert added((), ()) == ()
