"""What a plan was decided on that changes with configuration only: kept once under its digest, and named by traces."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple

import orjson

from routing.core.candidate import Candidate
from routing.core.defaulting import FIELDS
from routing.core.policy import Canary, Settings, Weights

UNSEEN = {"capacity", "neurons_in", "neurons_out", "limits"}  # fields of a candidate that the planner does not look at
SEEN = tuple(item.name for item in fields(Candidate) if item.name not in UNSEEN)


class Lineup(NamedTuple):
    """The candidates of a route as the planner sees them, and the digest of their document."""

    candidates: tuple[Candidate, ...]
    digest: str


def lineup_of(candidates: Sequence[Candidate]) -> Lineup:
    return Lineup(tuple(candidates), digest_of(document_of(candidates)))


def document_of(candidates: Sequence[Candidate]) -> dict[str, Any]:
    return {"candidates": [{name: getattr(item, name) for name in SEEN} for item in candidates]}


def candidates_in(document: Mapping[str, Any]) -> tuple[Candidate, ...]:
    """Raises KeyError or TypeError for a document of another kind."""
    return tuple(Candidate(**{**item, "environments": tuple(item["environments"])}) for item in document["candidates"])


def document_of_default(default: Settings) -> dict[str, Any]:
    """What the platform's default strategy says, see ``defaulting``."""
    return {"default": {name: value for name, value in asdict(default).items() if name in FIELDS}}


def default_in(document: Mapping[str, Any]) -> Settings:
    """Raises KeyError or TypeError for a document of another kind."""
    told = dict(document["default"])
    canary = told.pop("canary")
    return Settings(**{**told, "weights": Weights(**told["weights"]), "canary": Canary(**canary) if canary else None})


def digest_of(document: Mapping[str, Any]) -> str:
    """24 hexadecimal digits: the same document has the same in every process."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:24]
