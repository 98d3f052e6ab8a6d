"""Figures and timeline of a load."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core.load import MOST_KINDS, MOST_STEPS, OTHER, Answer, errors_of, report_of

answers = st.lists(
    st.builds(Answer, st.floats(-1, 8000), st.floats(0, 1e5), st.sampled_from(["", "", "503", "timeout"])), max_size=80
)


@given(answers, st.floats(0.01, 7200))
def test_no_answer_is_lost_on_the_way_to_the_timeline(given: list[Answer], duration_s: float) -> None:
    report = report_of(given, duration_s)
    assert report.requests == len(given)
    assert report.failed == sum(report.errors.values()) == sum(step.failed for step in report.timeline)
    assert 1 <= len(report.timeline) <= MOST_STEPS
    starts = [step.start_s for step in report.timeline]
    assert starts == sorted(starts) and all(0 <= start < max(duration_s, 1) for start in starts)


def test_a_second_tells_what_was_answered_in_it() -> None:
    given = [Answer(0.1, 100), Answer(0.9, 300), Answer(1.5, 50, "503"), Answer(2.2, 40), Answer(2.6, 40)]
    report = report_of(given, 2.5)
    assert [(step.start_s, step.qps, step.p95_ms, step.failed) for step in report.timeline] == [
        (0.0, 2.0, 300, 0),
        (1.0, 2.0, 40, 1),  # 1.5 s, and an answer that came after the end
    ]
    assert (report.requests, report.failed, report.qps, report.errors) == (5, 1, 2.0, {"503": 1})
    assert (report.p50_ms, report.p95_ms, report.p99_ms) == (40, 300, 300)


def test_nothing_is_a_report_too() -> None:
    report = report_of([], 0.0)
    assert (report.requests, report.qps, report.p95_ms, report.timeline[0].qps) == (0, 0.0, None, 0.0)


@pytest.mark.parametrize("kinds", [MOST_KINDS, MOST_KINDS + 30])
def test_kinds_of_errors_are_bounded_and_all_are_counted(kinds: int) -> None:
    found = errors_of([f"{number:03}" * 100 for number in range(kinds)] + [OTHER] * 2)
    assert sum(found.values()) == kinds + 2 and len(found) <= MOST_KINDS + 1
    assert all(len(kind) <= 120 for kind in found)
