import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core.metrics import METRICS, Answered, aggregate, figure, metric_names, metric_of, metric_values

GOOD = Answered(1, 1, "ok", 100.0, 20.0, 10, 50, 300, "miss", {"exact": 1.0}, "math")
HIT = GOOD._replace(item=2, latency_ms=5.0, ttft_ms=5.0, cost_microusd=0, cache="exact", scores={"exact": 0.0})
REFUSED = GOOD._replace(item=3, outcome="refused", latency_ms=60.0, scores={})
FAILED = Answered(4, 1, "failed", 900.0, None, None, None, 0, "", {})
BROKEN = FAILED._replace(item=5, cost_microusd=90)  # after its first tokens: they are charged
LIMITED = FAILED._replace(item=6, outcome="limited", latency_ms=2.0)
ALL = [GOOD, HIT, REFUSED, FAILED, BROKEN, LIMITED]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("p95_latency", [100, 5, 60]),
        ("ttft_p50", [20, 5, 20]),
        ("tokens_out", [50, 50, 50]),
        ("cost", [300, 0, 300, 90]),
        ("refusal_rate", [0, 0, 1]),
        ("error_rate", [0, 0, 0, 1, 1, 1]),
        ("cache_hit_rate", [0, 1, 0]),
        ("score:exact", [1, 0]),
    ],
)
def test_each_metric_is_of_the_results_it_concerns(name: str, values: list[float]) -> None:
    assert metric_values(name, ALL) == values


def test_percentiles_are_values_that_occurred_and_the_rest_are_means() -> None:
    hundred = [float(value) for value in range(1, 101)]
    assert [aggregate(f"p{share}_latency", hundred) for share in (50, 95, 99)] == [50, 95, 99]
    assert aggregate("ttft_p95", [7.0]) == 7
    assert aggregate("cost", [300, 0, 300]) == 200
    assert aggregate("score:exact", [1, 0]) == 0.5


def test_a_figure_that_nothing_is_known_of_is_none() -> None:
    assert figure("p50_latency", [FAILED]) is None
    assert figure("error_rate", [FAILED]) == 1
    assert figure("error_rate", []) is None


def test_a_run_has_every_metric_and_the_scores_it_was_given() -> None:
    assert metric_names(ALL) == [*METRICS, "score:exact"]
    assert metric_of("score:json_schema").label == "Json schema"
    assert metric_of("score:exact").better == "higher"


@pytest.mark.parametrize("name", ["", "speed", "score:", "exact"])
def test_a_metric_that_is_not_there(name: str) -> None:
    with pytest.raises(KeyError):
        metric_of(name)


answers = st.builds(
    Answered,
    item=st.integers(0, 9),
    repetition=st.integers(1, 3),
    outcome=st.sampled_from(["ok", "refused", "limited", "failed"]),
    latency_ms=st.none() | st.floats(0, 1e6),
    ttft_ms=st.none() | st.floats(0, 1e6),
    tokens_in=st.none() | st.integers(0, 10**6),
    tokens_out=st.none() | st.integers(0, 10**6),
    cost_microusd=st.integers(0, 10**9),
    cache=st.sampled_from(["", "off", "miss", "exact", "semantic"]),
    scores=st.dictionaries(st.sampled_from(["exact", "similarity"]), st.floats(0, 1)),
)


@given(st.lists(answers, max_size=30))
def test_a_figure_lies_between_the_values_it_is_made_of(results: list[Answered]) -> None:
    for name in metric_names(results):
        values, made = metric_values(name, results), figure(name, results)
        assert (made is None) == (not values)
        if made is not None:
            assert min(values) * (1 - 1e-9) <= made <= max(values) * (1 + 1e-9)
            assert metric_of(name).unit not in ("share", "score") or 0 <= made <= 1
