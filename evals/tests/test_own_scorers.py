"""The operator's own scorers, and that a path reaches nothing else."""

import threading

import pytest

from conftest import eventually
from evals.core.case import Case, Score
from evals.own_scorers import score_by
from evals.tests.own_examples import GO_ON

HERE = "evals.tests.own_examples"


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("shortness", Score(0.5, "0.5, by own code.")),
        ("explained", Score(0.25, "a quarter")),
        ("silent", Score(None, "It has nothing to say.")),
        ("too_much", Score(None, "The scorer gave no number from 0 to 1.")),
        ("words", Score(None, "The scorer gave no number from 0 to 1.")),
        ("broken", Score(None, "The scorer failed (KeyError).")),
        ("leaves", Score(None, "The scorer failed (SystemExit).")),
    ],
)
def test_what_it_says_is_the_score(name: str, score: Score) -> None:
    assert score_by(f"{HERE}.{name}", Case((), "ab"), [HERE]) == score


@pytest.mark.parametrize(
    "path",
    [
        f"{HERE}.system",  # it imports os.system
        f"{HERE}.os.system",
        f"{HERE}.NUMBER",
        f"{HERE}.nothing",
        f"{HERE}.nowhere.nothing",
        f"{HERE}._private",
        "os.system",
        "evals.scoring.score_run",
    ],
)
def test_nothing_else_can_be_called(path: str) -> None:
    assert score_by(path, Case((), "true"), [HERE]) == Score(None, "There is no such scorer.")


def test_without_the_operators_leave_there_is_none() -> None:
    assert score_by(f"{HERE}.shortness", Case((), "ab"), []).value is None


def test_a_module_that_cannot_be_imported_is_a_remark() -> None:
    assert (
        score_by(f"{HERE}_broken.shortness", Case((), "ab"), [f"{HERE}_broken"]).why
        == "The scorer failed (ZeroDivisionError)."
    )


def test_the_log_of_a_failure_holds_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    score_by(f"{HERE}.broken", Case((), "my secret"), [HERE])
    assert "own_examples.broken failed: KeyError" in caplog.text and "secret" not in caplog.text


def test_one_that_hangs_is_left_behind_until_it_comes_back() -> None:
    def said(patience_s: float) -> Score:
        return score_by(f"{HERE}.hangs", Case((), "ab"), [HERE], patience_s)

    late = Score(None, "The scorer took longer than 0.05 s, for this answer or one before.")
    assert all(said(0.05) == late for _ in range(20))
    assert [thread.name for thread in threading.enumerate()].count(f"{HERE}.hangs") == 1
    GO_ON.set()
    eventually(lambda: said(10).value == 1.0)
