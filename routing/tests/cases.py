"""Candidates, evidence and weights of every kind, for tests that hold whatever they are."""

from hypothesis import strategies as st

from routing.core.candidate import Candidate
from routing.core.evidence import Burn, Evidence
from routing.core.policy import Weights
from routing.core.scoring import Wanted
from routing.core.tasks import TASKS

NAMES = ["a", "b", "c", "d", "e"]
SHARES = st.floats(0, 1)
ENVIRONMENTS = ["development", "production", "staging"]
POINTS = st.floats(0, 100)
WEIGHTS = st.builds(
    Weights, cost=POINTS, quota=POINTS, health=POINTS, latency=POINTS, task=POINTS, environment=POINTS
).filter(lambda weights: weights.cost + weights.quota + weights.latency > 0)
RATES = st.floats(0, 40)
EVIDENCE = st.builds(
    Evidence,
    samples=st.integers(0, 500),
    error_rate=SHARES,
    p95_ms=st.none() | st.floats(1, 60_000),
    burn=st.builds(Burn, RATES, RATES, RATES, RATES),
    breaker=st.sampled_from(["closed", "closed", "open", "half_open"]),
    retry_at=st.sampled_from([0.0, 0.0, 2000.0]),
    why=st.just("Failed lately"),
    quota_left=st.none() | SHARES,
    quota_why=st.sampled_from(["", "200 of 200 requests a day are used."]),
)
EVIDENCES = st.dictionaries(st.sampled_from(NAMES), EVIDENCE)
WANTED = st.builds(
    Wanted, st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(TASKS), st.sampled_from(ENVIRONMENTS)
)


def candidate(name: str) -> st.SearchStrategy[Candidate]:
    return st.builds(
        Candidate,
        deployment=st.just(name),
        provider=st.just("p"),
        model=st.sampled_from(["one", "other"]),
        context_window=st.sampled_from([200, 100_000]),
        price_in=st.integers(0, 10**7),
        price_out=st.integers(0, 10**7),
        unavailable=st.sampled_from(["", "", "Switched off."]),
        share=st.none() | st.integers(0, 100),
        environments=st.lists(st.sampled_from(ENVIRONMENTS), unique=True).map(tuple),
        quality=st.integers(0, 100),
        strengths=st.dictionaries(st.sampled_from(TASKS), SHARES),
        typical_latency_ms=st.integers(1, 60_000),
    )


CANDIDATES = st.lists(st.sampled_from(NAMES), unique=True).flatmap(lambda names: st.tuples(*map(candidate, names)))
