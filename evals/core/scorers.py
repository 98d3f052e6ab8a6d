"""The scorers there are, and how a run's list of them is read.

A list is ``[{"name": "numeric", "tolerance": 0.01}, {"name": "judge", "route": "big-model"}]``. ``as`` gives a scorer
another name in the results, so that two judges can sit side by side.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from evals.core.case import Case, Score
from evals.core.json_answer import json_schema
from evals.core.matching import contains, exact
from evals.core.numbers import numeric

MOST_SCORERS = 12
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
DOTTED = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)+")  # no part is private


class BadScorers(Exception):
    """``field``: where in the list, as ``scorers[1].tolerance``."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Option:
    """``choices``: of a choice, value and label. ``low`` and ``high``: of a number; of a text, ``high`` characters."""

    name: str
    label: str
    help: str
    kind: Literal["number", "text", "choice"]
    default: float | str | None = None  # None: it must be given
    low: float = 0.0
    high: float = 0.0
    choices: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """``needs``: what a row must have for a score; where there are several, any one."""

    name: str
    label: str
    help: str
    needs: Sequence[Literal["reference", "baseline", "schema"]] = ()
    options: Sequence[Option] = ()


@dataclass(frozen=True, slots=True)
class Scorer:
    """``name`` is its key in the results."""

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


_AGAINST = (("auto", "the reference, else the baseline"), ("reference", "the reference"), ("baseline", "the baseline"))
_JUDGED_AGAINST = (
    ("auto", "the baseline, else the reference, else by itself"),
    ("baseline", "the baseline"),
    ("reference", "the reference"),
    ("nothing", "nothing: grades 1 to 5"),
)
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "exact", "Exact match", "The reference itself, but for case, space and punctuation around.", ("reference",)
        ),
        Kind("contains", "Contains", "The reference occurs in the answer, as whole words.", ("reference",)),
        Kind(
            "numeric",
            "Number",
            "The answer's last number is the reference's.",
            ("reference",),
            [Option("tolerance", "Tolerance", "Share by which it may differ: 0.01 is 1 %.", "number", 0.0, 0.0, 1.0)],
        ),
        Kind("json_schema", "JSON schema", "The answer is JSON and satisfies the row's schema.", ("schema",)),
        Kind(
            "similarity",
            "Similarity",
            "How near the answer is in meaning, by the built-in embedder (English). Hardly sees numbers and negations.",
            ("reference", "baseline"),
            [Option("against", "Compared with", "What it is compared with.", "choice", "auto", choices=_AGAINST)],
        ),
        Kind(
            "judge",
            "Judge",
            "A model compares the answer, in both orders: better is 1, as good 0.5, worse 0. It is asked and charged "
            "through Relay.",
            (),
            [
                Option("route", "Model", "The model that judges, as clients name it.", "text", high=200),
                Option(
                    "against", "Compared with", "What it is compared with.", "choice", "auto", choices=_JUDGED_AGAINST
                ),
                Option("criteria", "Criteria", "What matters above all, in a sentence.", "text", "", high=500),
            ],
        ),
        Kind(
            "custom",
            "Own code",
            "A function of the operator's: f(case) gives a number from 0 to 1, a Score or None.",
            (),
            [Option("path", "Path", "Dotted path, below a module of RELAY_EVAL_SCORERS.", "text", high=200)],
        ),
    )
}
PURE: Mapping[str, Callable[..., Score]] = {
    "exact": exact,
    "contains": contains,
    "numeric": numeric,
    "json_schema": json_schema,
}


def score_purely(scorer: Scorer, case: Case) -> Score:
    """By one of PURE."""
    return PURE[scorer.kind](case, **scorer.options)


def described(allowed: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All of them for a form, ready for JSON; ``custom`` only where the operator allows modules."""
    return [asdict(kind) for kind in KINDS.values() if allowed or kind.name != "custom"]


def scorers_from_words(words: str) -> list[dict[str, Any]]:
    """ "exact, numeric:tolerance=0.01, judge:route=big" as a list to read."""
    found: list[dict[str, Any]] = []
    for word in filter(None, (part.strip() for part in words.split(","))):
        name, *options = word.split(":")
        pairs = (option.partition("=") for option in options)
        found.append({"name": name.strip(), **{key.strip(): _number_or_text(value) for key, _, value in pairs}})
    return found


def read_scorers(spec: Any, allowed: Sequence[str] = ()) -> tuple[Scorer, ...]:
    """``allowed``: the modules below which ``custom`` may point. Raises BadScorers."""
    if not isinstance(spec, list) or len(spec) > MOST_SCORERS:
        raise BadScorers(f"must be a list of at most {MOST_SCORERS} scorers", "scorers")
    found: dict[str, Scorer] = {}
    for number, item in enumerate(spec):
        scorer = _scorer(item, f"scorers[{number}]", allowed)
        if scorer.name in found:
            raise BadScorers(f"“{scorer.name}” is there twice; tell them apart with “as”", f"scorers[{number}].as")
        found[scorer.name] = scorer
    return tuple(found.values())


def names_in(spec: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the scorers of a list that was read are called in the results."""
    return [str(item.get("as") or item["name"]) for item in spec]


def _scorer(item: Any, at: str, allowed: Sequence[str]) -> Scorer:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise BadScorers("must be an object with a “name”", at)
    kind = KINDS.get(item["name"])
    if kind is None:
        raise BadScorers(f"there is no scorer “{item['name'][:40]}”; there are {', '.join(KINDS)}", f"{at}.name")
    name = item.get("as", kind.name)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadScorers("must be up to 40 small letters, digits and _, a letter first", f"{at}.as")
    options = {option.name: option for option in kind.options}
    if unknown := [key for key in item if key not in options and key not in ("name", "as")]:
        known = f"its options are {', '.join(options)}" if options else "it has no options"
        raise BadScorers(f"“{kind.name}” has no option of that name; {known}", f"{at}.{unknown[0][:40]}")
    read = {key: _option(option, item.get(key, option.default), f"{at}.{key}") for key, option in options.items()}
    if kind.name == "custom":
        _check_path(str(read["path"]), f"{at}.path", allowed)
    return Scorer(kind.name, name, read)


def _option(option: Option, value: Any, at: str) -> float | str:
    if value is None:
        raise BadScorers("must be given", at)
    if option.kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadScorers("must be a number", at)
        if not option.low <= value <= option.high:
            raise BadScorers(f"must be from {option.low:g} to {option.high:g}", at)
        return float(value)
    if option.kind == "choice":
        if value not in [choice for choice, _ in option.choices]:
            raise BadScorers(f"must be one of {', '.join(choice for choice, _ in option.choices)}", at)
        return str(value)
    if not isinstance(value, str) or len(value) > option.high or (option.default is None and not value.strip()):
        raise BadScorers(f"must be a text of up to {option.high:g} characters", at)
    return value.strip()


def _check_path(path: str, at: str, allowed: Sequence[str]) -> None:
    """The same words whether there is such a function or not, so that nobody can look around."""
    if not DOTTED.fullmatch(path) or not any(path.startswith(f"{module}.") for module in allowed):
        raise BadScorers("is not below a module that RELAY_EVAL_SCORERS allows", at)


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value.strip()
