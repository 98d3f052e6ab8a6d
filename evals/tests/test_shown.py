import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core.metrics import Answered
from evals.core.shown import by_category, lines, shown
from evals.core.spread import BARS, HEIGHT, WIDTH, spread

GOOD = Answered(1, 1, "ok", 100.0, 20.0, 10, 50, 300, "miss", {"exact": 1.0}, "math")


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("ms", 1840.0, "1.84 s"),
        ("tokens", 50.0, "50.0"),
        ("microusd", 1500.0, "$0.0015"),
        ("share", 0.125, "12.5%"),
        ("score", 0.97, "0.970"),
        ("ms", None, "–"),
    ],
)
def test_figures_are_told_in_their_units(unit: str, value: float | None, text: str) -> None:
    assert shown(unit, value) == text


def test_a_run_is_told_line_by_line_with_how_many_results_each_is_of() -> None:
    failed = GOOD._replace(item=2, outcome="failed", cost_microusd=0, scores={})
    told = {line.name: line for line in lines([GOOD, failed])}
    assert (told["p95_latency"].text, told["p95_latency"].of) == ("100 ms", 1)
    assert (told["error_rate"].text, told["error_rate"].of) == ("50.0%", 2)
    assert told["score:exact"].value == 1.0
    assert lines([])[0].text == "–"
    assert [(line.text, line.of) for line in lines([GOOD], ["exact", "judge"])][-2:] == [("1.000", 1), ("–", 0)]


def test_categories_are_told_where_there_are_several() -> None:
    other = GOOD._replace(category="", latency_ms=50.0)
    assert by_category([GOOD, GOOD], ["cost"]) == []
    first, second = by_category([other, GOOD, GOOD], ["p50_latency"])
    assert (first.name, first.results, second.name) == ("math", 2, "")
    assert second.lines["p50_latency"].text == "50 ms"


def test_one_slow_answer_does_not_hide_how_the_others_are_spread() -> None:
    drawn = spread([*(float(value) for value in range(1, 1000)), 1e9])
    assert drawn is not None and (drawn.top, drawn.beyond, drawn.of) == (1000.0, 1, 1000)
    assert spread([]) is None
    flat = spread([0.0, 0.0])
    assert flat is not None and [bar.count for bar in flat.bars] == [2]


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=300))
def test_every_value_is_in_a_bar_and_every_bar_in_the_box(values: list[float]) -> None:
    drawn = spread(values)
    assert drawn is not None and sum(bar.count for bar in drawn.bars) == len(values)
    assert len(drawn.bars) <= BARS
    for bar in drawn.bars:
        assert bar.x >= 0 and bar.x + bar.width <= WIDTH + 0.1
        assert bar.y >= 0 and bar.y + bar.height == pytest.approx(HEIGHT, abs=0.2)
