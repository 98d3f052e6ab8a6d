"""Scorers as an operator may write them, good and bad."""

import os
from os import system

from evals.core.case import Case, Score

NUMBER = 1
__all__ = ["broken", "explained", "os", "shortness", "silent", "system", "too_much", "words"]


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


def _private(case: Case) -> float:
    return 1.0
