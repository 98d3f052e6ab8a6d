"""The pure parts of reports: words that differ, the order of answers, geometry, JUnit, rules that make sense."""

from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.core.gate import Rule, decide
from evals.core.gate_words import measured, round_up, rows_of, trimmed, why
from evals.core.junit import junit, legal
from evals.core.metrics import Answered
from evals.core.plots import curves, interval_bar, scatter
from evals.core.rules import problem_with
from evals.core.wording import MOST_WORDS, Part, marked
from evals.core.worst import changes

OK = Answered(1, 1, "ok", 100.0, 20.0, 10, 50, 300, "miss", {"exact": 1.0})
SLOW = OK._replace(item=2)


def test_only_the_words_that_differ_are_marked() -> None:
    before, after = marked("It arrives on Monday, early.", "It arrives on Tuesday, early.")
    assert before == (Part("It arrives on ", False), Part("Monday", True), Part(", early.", False))
    assert after[1] == Part("Tuesday", True)
    assert marked("a, b", "c, d")[0] == (Part("a, b", True),)
    assert marked("the same", "the same") == ((Part("the same", False),),) * 2
    assert marked("a b", "a new b")[0] == (Part("a b", False),)
    assert marked("", "new") == ((), (Part("new", True),))


def test_texts_too_long_to_compare_differ_as_a_whole_in_the_middle() -> None:
    long = " ".join(str(number) for number in range(MOST_WORDS))
    before, _ = marked(f"Begin {long} end", f"Begin other {long[2:]} words end")
    assert [part.changed for part in before] == [False, True, False]


words = st.text(alphabet="ab ,.\nß", max_size=30)


@given(words, words)
def test_marked_parts_are_the_texts(before: str, after: str) -> None:
    one, other = marked(before, after)
    assert ("".join(part.text for part in one), "".join(part.text for part in other)) == (before, after)


def test_lost_answers_come_first_then_scores_then_latency() -> None:
    before = [OK._replace(item=item) for item in range(6)]
    after = [
        OK._replace(item=0),
        OK._replace(item=1, latency_ms=300.0),
        OK._replace(item=2, scores={"exact": 0.0}),
        OK._replace(item=3, outcome="refused", scores={}),
        OK._replace(item=4, outcome="failed", latency_ms=None, scores={}),
        OK._replace(item=5, latency_ms=0.0),
        OK._replace(item=9),
    ]
    assert [change.after.item for change in changes(before, after)] == [4, 3, 2, 1, 0, 5]


def test_curves_end_at_the_top_and_know_their_scale() -> None:
    drawn = curves([10.0, 100.0], [20.0, 1_000.0], logarithmic=True)
    assert drawn and drawn.log and drawn.baseline == "M0 100H0.00V50.00H50.00V0.00H100"
    assert [tick.value for tick in drawn.ticks] == [10, 50, 200, 1000]
    linear = curves([0.0, 1.0], [0.5, 0.5], logarithmic=True)
    assert linear and not linear.log and [tick.value for tick in linear.ticks] == [0, 0.5, 1]
    close = curves([301.0, 340.0], [302.0], logarithmic=True)
    assert close and [tick.value for tick in close.ticks] == [301, 340]
    same, zeros = curves([7.0], [7.0], logarithmic=True), curves([0.0], [0.0], logarithmic=False)
    assert same and zeros and len(same.ticks) == len(zeros.ticks) == 1
    many = curves([float(value) for value in range(1, 5_000)], [1.0], logarithmic=True)
    assert many and len(many.baseline) < 5_000
    assert curves([], [1.0], logarithmic=True) is None


@given(*(st.floats(-1e6, 1e6) for _ in range(4)))
def test_bars_stay_in_their_box(low: float, high: float, estimate: float, bound: float) -> None:
    low, estimate, high = sorted((low, estimate, high))
    for zero in (True, False):
        bar = interval_bar(low, high, estimate, bound, zero=zero)
        assert -1e-6 <= bar.low <= bar.low + bar.width <= 100 + 1e-6 and -1e-6 <= bar.bound <= 100 + 1e-6
        assert (bar.zero is not None) == zero


def test_dots_stay_apart_from_the_edges() -> None:
    (dot, other) = scatter([("all", 100, 0.5, 200, 0.5), ("math", 150, 0.5, 100, 0.5)])
    assert 0 < dot.x < dot.x_after < 100 and dot.y == dot.y_after == pytest.approx(50) and other.x_after == dot.x
    assert scatter([]) == ()


def test_junit_says_what_failed_and_what_is_open() -> None:
    rules = [Rule("cost", "at_most", "value", 100), Rule("cost", "at_most", "change", 5, min_pairs=99)]
    many = [OK._replace(item=item) for item in range(40)]
    rows = rows_of(decide([*rules, Rule("tokens_out", "at_most", "change", 5)], many, many))
    tree = ElementTree.fromstring(junit("gate <a> & \x00b\ud800", rows))
    assert tree.attrib["failures"] == "1" and tree.attrib["skipped"] == "1" and tree.attrib["tests"] == "3"
    kinds = [[child.tag for child in case] for case in tree.iter("testcase")]
    assert kinds == [["failure", "system-out"], ["skipped", "system-out"], ["system-out"]]


@settings(max_examples=50)
@given(st.text(max_size=20))
def test_any_name_makes_valid_xml(name: str) -> None:
    suite = ElementTree.fromstring(junit(name, [])).find("testsuite")
    assert suite is not None and suite.attrib["name"] == legal(name)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (("speed", "at_most", "change", 5), "metric"),
        (("error_rate", "at_most", "change", 5), "measure"),
        (("cache_hit_rate", "at_most", "value", 0.5), "direction"),
        (("p95_latency", "at_least", "change", 5), "direction"),
        (("cost", "at_most", "change", float("nan")), "bound"),
        (("cost", "at_most", "change", -101), "bound"),
        (("cost", "at_most", "value", -1), "bound"),
        (("score:exact", "at_least", "difference", -1.5), "bound"),
    ],
)
def test_rules_without_sense_are_refused(rule: tuple[str, str, str, float], field: str) -> None:
    problem = problem_with(*rule)
    assert problem and problem.field == field


@pytest.mark.parametrize(
    "rule",
    [
        ("cost", "at_most", "change", 5),
        ("p95_latency", "at_most", "value", 2_000),
        ("score:judge", "at_least", "difference", -0.05),
        ("cost", "at_most", "change", None),
    ],
)
def test_rules_that_make_sense(rule: tuple[str, str, str, float | None]) -> None:
    assert problem_with(*rule) is None


@pytest.mark.parametrize(
    ("rule", "value", "text"),
    [
        (Rule("cost", "at_most", "change", 5), 0.051, "+5.1%"),
        (Rule("cost", "at_most", "change", 5), -0.0012, "−0.12%"),
        (Rule("cost", "at_most", "change", 5), float("inf"), "from nothing"),
        (Rule("cost", "at_most", "difference", 5), float("-inf"), "–"),
        (Rule("error_rate", "at_most", "difference", 0.1), -0.02, "−2 pt"),
        (Rule("p95_latency", "at_most", "difference", 5), 12.0, "+12 ms"),
        (Rule("tokens_out", "at_most", "value", 5), 51.26, "51.3"),
        (Rule("score:exact", "at_least", "value", 1), 0.5, "0.500"),
    ],
)
def test_figures_are_written_as_the_console_does(rule: Rule, value: float, text: str) -> None:
    assert measured(rule, value) == text


def test_small_words() -> None:
    assert (trimmed(0.004), trimmed(1_234.0)) == ("0", "1,234")
    assert [round_up(number) for number in (7, 99, 101, 1_234)] == [7, 99, 110, 1_300]
    close = decide([Rule("tokens_out", "at_most", "difference", 0)], *NEARLY).findings[0]
    assert why(close).endswith("too close to ±0 to say.")


NEARLY = (
    [OK._replace(item=item, tokens_out=50) for item in range(40)],
    [OK._replace(item=item, tokens_out=50 + (1 if item % 2 else -1)) for item in range(40)],
)
