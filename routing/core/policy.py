"""The policy document as frozen values. ``policy_reading.parse`` makes them and checks them in full."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path)) or 'document'}: {self.message}"


class PolicyInvalid(Exception):
    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class BucketLimit:
    """A request belongs to the first bucket whose two limits it stays within; ``long`` takes the rest."""

    max_input_tokens: int
    max_output_tokens: int


@dataclass(frozen=True, slots=True)
class CacheRule:
    exact: bool = True
    semantic: bool = False
    threshold: float = 0.92
    ttl_s: int = 3600
    scope: str = "tenant"


@dataclass(frozen=True, slots=True)
class Weights:
    """The most points that each factor of ``scored`` gives (``health`` also takes as many away). See scoring."""

    cost: float = 30.0
    quota: float = 20.0
    health: float = 30.0
    latency: float = 10.0
    task: float = 15.0
    environment: float = 20.0


@dataclass(frozen=True, slots=True)
class Canary:
    """``share`` percent of the requests go to ``deployment`` first, the others to it last."""

    deployment: str
    share: float


@dataclass(frozen=True, slots=True)
class Settings:
    """What a plan takes from a policy. A rule's ``then`` overrides the defaults field by field."""

    tier: str = "standard"
    lane: str = "short"
    decoding: str | None = None
    max_tokens: int = 512
    temperature: float | None = None
    cache: CacheRule = CacheRule()
    candidates: tuple[str, ...] | None = None
    strategy: str = "ordered"
    weights: Weights = Weights()
    task: str | None = None  # None: as the request says or looks
    slo: float = 0.99  # the share of requests that should be answered
    canary: Canary | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes since midnight in ``timezone``; a start after the end runs over midnight."""

    start: int
    end: int
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class When:
    bucket: tuple[str, ...] | None = None
    model: tuple[str, ...] | None = None
    key: tuple[str, ...] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    hours: Hours | None = None
    task: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    when: When
    then: Mapping[str, Any]  # checked fields of Settings; ``cache`` and ``weights`` are mappings of their fields


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """``named``: the settings that its defaults name themselves."""

    buckets: Mapping[str, BucketLimit]
    profiles: Mapping[str, Mapping[str, float]]
    defaults: Settings
    rules: tuple[Rule, ...]
    description: str = ""
    named: frozenset[str] = frozenset()


def apply(settings: Settings, then: Mapping[str, Any]) -> Settings:
    """``settings`` with the checked fields of ``then`` put over it; ``cache`` and ``weights`` field by field."""
    values = dict(then)
    for name in ("cache", "weights"):
        if name in then:
            values[name] = replace(getattr(settings, name), **then[name])
    return replace(settings, **values)
