"""The operator's own scorers, and that a path reaches nothing else."""

import pytest

from evals.core.case import Case, Score
from evals.own_scorers import score_by

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
