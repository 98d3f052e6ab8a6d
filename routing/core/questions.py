"""What can be counted in a multiple-choice question, whatever its subject.

Forms carry from one subject to another; words and meanings do not. Measured on MMLU with whole subjects held back,
these counts alone rank prompts better than a sentence embedding does, and adding the embedding makes them worse.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

LETTERS = "ABCDEFGHIJ"
LIMITING = 4
_MARK = re.compile(r"^\(?([A-J])[.)](?=\s|$)", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]+")
_FIRST_PERSON = re.compile(r"\b(?:I|me|my)\b")
_EXCEPTION = re.compile(r"\b(?:NOT|EXCEPT|LEAST|except|false|incorrect)\b")
_SUPERLATIVE = re.compile(r"\b(?:most|best|likely)\b", re.IGNORECASE)
_TOGETHER = re.compile(r"\b(?:both|(?:all|none) of (?:the|these))\b", re.IGNORECASE)
_PLAIN = (
    "a an and are as at be by can for from has have he her his how if in is it its not of on or she that the their"
    " there they this to was were what when which who will with would you"
)
_COMMON = frozenset(_PLAIN.split())


@dataclass(frozen=True, slots=True)
class Question:
    stem: str
    answers: tuple[str, ...]  # empty: nothing to choose from


class Measures(NamedTuple):
    """Flags are 0 or 1, shares between them. The first `LIMITING` say whether a prompt is of a known kind, no more."""

    answers: float  # how many to choose from
    stem_length: float  # characters
    answer_length: float  # characters, the mean
    common_words: float  # share of the prompt's words that are plain English
    uneven_answers: float  # spread of their lengths over their mean length
    numeric_answers: float  # share with a digit and at most two words
    answer_variety: float  # different words over all words of the answers
    answer_word_length: float  # characters, the mean
    answers_together: float  # flag: "all of the above", "both ..."
    equation: float  # flag
    first_person: float  # flag
    exception: float  # flag: "which is NOT ..."
    superlative: float  # flag: "most likely ..."


def read_question(text: str) -> Question:
    """The answers begin with the last line marked `A.` (or `A)`, `(A)`), go on with `B.`, and so forth to `J.`"""
    marks = list(_MARK.finditer(text))
    first = max((i for i, mark in enumerate(marks) if mark[1] == "A"), default=len(marks))
    run: list[re.Match[str]] = []
    for mark in marks[first:]:
        if mark[1] == LETTERS[len(run) : len(run) + 1]:
            run.append(mark)
    if not run:
        return Question(text.strip(), ())
    ends = [mark.start() for mark in run[1:]] + [len(text)]
    answers = [text[mark.end() : end].strip() for mark, end in zip(run, ends, strict=True)]
    return Question(text[: run[0].start()].strip(), (*answers[:-1], answers[-1].removesuffix("Answer:").rstrip()))


def measure(question: Question) -> Measures:
    stem, answers = question.stem, question.answers
    lengths = [len(answer) for answer in answers]
    length = _mean(lengths)
    words = [_WORD.findall(answer.lower()) for answer in answers]
    chosen = [word for answer in words for word in answer]
    every = _WORD.findall(stem.lower()) + chosen
    numeric = [any(map(str.isdigit, answer)) and len(of) <= 2 for answer, of in zip(answers, words, strict=True)]
    return Measures(
        answers=len(answers),
        stem_length=len(stem),
        answer_length=length,
        common_words=_mean([word in _COMMON for word in every]),
        uneven_answers=sqrt(_mean([(each - length) ** 2 for each in lengths])) / (length + 1),
        numeric_answers=_mean(numeric),
        answer_variety=len(set(chosen)) / max(len(chosen), 1),
        answer_word_length=_mean([len(word) for word in chosen]),
        answers_together=any(map(_TOGETHER.search, answers)),
        equation="=" in stem,
        first_person=_FIRST_PERSON.search(stem) is not None,
        exception=_EXCEPTION.search(stem) is not None,
        superlative=_SUPERLATIVE.search(stem) is not None,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(len(values), 1)
