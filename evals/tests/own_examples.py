"""Scorers as an operator may write them, good and bad."""

import os
import sys
from os import system
from threading import Event

from evals.core.case import Case, Score

NUMBER = 1
GO_ON = Event()
__all__ = ["broken", "explained", "hangs", "leaves", "os", "shortness", "silent", "system", "too_much", "words"]


def shortness(case: Case) -> float:
    return 1 / len(case.answer)


def explained(case: Case) -> Score:
    return Score(0.25, "a quarter")


def silent(case: Case) -> None:
    return None


def too_much(case: Case) -> float:
    return 1.5


def words(case: Case) -> str:
    return "good"


def broken(case: Case) -> float:
    raise KeyError(case.answer)


def leaves(case: Case) -> float:
    sys.exit(3)


def hangs(case: Case) -> float:
    GO_ON.wait()
    return 1.0


def _private(case: Case) -> float:
    return 1.0
