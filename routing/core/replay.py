"""A decision made again from what its trace keeps, as it was or under another version of the policy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, NamedTuple

import orjson

from routing.core.candidate import Candidate
from routing.core.defaulting import with_default
from routing.core.features import Features
from routing.core.lineup import Lineup, candidates_in, default_in
from routing.core.plan import ActivePolicy, ExecutionPlan
from routing.core.policy import PolicyDocument, Settings
from routing.core.recording import Decision, evidence_of
from routing.core.request import InvalidRequest
from routing.core.split import Split
from routing.core.strategies import STRATEGIES
from routing.core.surroundings import Surroundings
from routing.core.trial import Trial

Minutes = Callable[[int, tuple[str, ...]], Mapping[str, int]]  # minutes after the epoch, zones -> minutes of the day
ROUTE = "route"  # steps of a decision trace that come before the plan's


class NotRecorded(Exception):
    """The trace does not hold the inputs of its decision, or not in a form that can be read."""


class Recorded(NamedTuple):
    """Of a trace: its inputs, its plan (None: the request was refused for want of one), and its decision trace."""

    inputs: Mapping[str, Any]
    plan: Mapping[str, Any] | None
    reasons: Sequence[Mapping[str, Any]]


class Contexts:
    """Documents by their digests; candidates are read once however many decisions name them."""

    def __init__(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        self._documents = documents
        self._lineups: dict[str, Lineup] = {}

    def lineup(self, digest: str) -> Lineup:
        """Raises KeyError or TypeError."""
        if digest not in self._lineups:
            self._lineups[digest] = Lineup(candidates_in(self._documents[digest]), digest)
        return self._lineups[digest]

    def default(self, digest: str) -> Settings:
        """Raises KeyError or TypeError."""
        return default_in(self._documents[digest])


class Version(NamedTuple):
    """A version of a policy as it is written. ``own``: a tenant's."""

    slug: str
    number: int
    document: PolicyDocument
    own: bool = False


class Replayer:
    """Makes decisions again under versions of policies; what a version becomes is worked out once."""

    def __init__(self, contexts: Contexts, minutes: Minutes) -> None:
        self._contexts = contexts
        self._minutes = minutes
        self._policies: dict[tuple[str, int, bool, str, str], ActivePolicy] = {}

    def decision(self, recorded: Recorded, version: Version) -> Decision:
        """Raises NotRecorded."""
        try:
            return self._decision(recorded, version)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotRecorded(f"The inputs of this decision cannot be read ({type(error).__name__}).") from error

    def _decision(self, recorded: Recorded, version: Version) -> Decision:
        inputs = recorded.inputs
        default = inputs.get("default", "")
        policy = self._policy(version, default, inputs.get("strategy", ""))
        around = Surroundings(
            inputs["at"],
            {**self._minutes(int(inputs["at"] // 60), ("UTC", *policy.zones)), **inputs.get("minutes", {})},
            inputs["environment"],
            inputs["draw"],
        )
        return Decision(
            policy,
            _features(recorded),
            dict.fromkeys(inputs.get("asked", ()), True),
            self._contexts.lineup(inputs["lineup"]),
            {circuit: evidence_of(told) for circuit, told in inputs.get("evidence", {}).items()},
            around,
            default,
        )

    def _policy(self, version: Version, default: str, strategy: str) -> ActivePolicy:
        key = (version.slug, version.number, version.own, default, strategy)
        if key not in self._policies:
            document = version.document
            document = with_default(document, self._contexts.default(default)) if default else document
            policy = ActivePolicy(version.slug, version.number, document, own=version.own)
            if strategy and strategy not in STRATEGIES:
                raise ValueError(strategy)
            self._policies[key] = policy.with_strategy(strategy) if strategy else policy
        return self._policies[key]


class Outcome(NamedTuple):
    """What a decision comes to: a plan, or why the request is refused."""

    plan: ExecutionPlan | None
    refused: str = ""

    @property
    def first(self) -> Candidate | None:
        """Who is asked first; None if nobody can be asked."""
        return self.plan.attempts[0] if self.plan is not None and self.plan.attempts else None


def decide(decision: Decision) -> Outcome:
    try:
        return Outcome(decision.plan())
    except InvalidRequest as error:
        return Outcome(None, str(error))


def is_as_recorded(recorded: Recorded, outcome: Outcome) -> bool:
    """Byte for byte: the plan and its reasons. Keys are sorted, since PostgreSQL does not keep their order."""
    if outcome.plan is None or recorded.plan is None:
        return outcome.plan is None and recorded.plan is None
    reasons = outcome.plan.decision_trace()
    before = sum(1 for _ in takewhile(lambda one: one.get("step") == ROUTE, recorded.reasons))
    was = recorded.reasons[before : before + len(reasons)]
    plan = orjson.loads(
        orjson.dumps(outcome.plan.as_json())
    )  # orjson sorts keys of mappings, not fields of dataclasses
    return _bytes(plan) == _bytes(recorded.plan) and _bytes(reasons) == _bytes(was)


def _bytes(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _features(recorded: Recorded) -> Features:
    told = recorded.plan["features"] if recorded.plan is not None else recorded.inputs["features"]
    features = Features(**told)
    trial, split = told["trial"], told["split"]
    if trial is None and split is None:
        return features
    return replace(
        features,
        trial=None if trial is None else Trial(**trial),
        split=None if split is None else Split(**{**split, "shares": dict(recorded.inputs["shares"])}),
    )
