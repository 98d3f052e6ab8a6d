"""How well a candidate suits a request: one fact for each factor, each worth points.

Six factors give points: their ``Facts`` become shares of the policy's weights, 0 to 1 (health -1 to 1). The seventh,
rate limits, is yes or no: what is resting comes behind the others whatever its points (``strategies.resting``).

Every share depends on its own candidate only, never on which others are there. Were the dearest candidate the measure
of cost, adding one that nobody chooses could change who is chosen, and no change could be named that would have
chosen another (``what_if``).

What is made anew for each request, and often for each of its candidates, is a NamedTuple here and in what uses it:
it is made in a third of the time of a frozen dataclass.
"""

from typing import NamedTuple

from routing.core.candidate import Candidate
from routing.core.evidence import Evidence
from routing.core.policy import Weights

HALF_PRICE = 1_000_000  # micro-dollars per million tokens: at one dollar the cost factor gives half of its points
HALF_LATENCY_MS = 2_000.0
ENOUGH_SAMPLES = 20  # fewer make no p95
GRANTED_SAMPLES = 50
NEUTRAL_ERRORS = 0.05  # the error rate that is worth no points; twice as many errors take all of them away
UNSTATED_STRENGTH = 0.5
DEVELOPMENT, PRODUCTION = "development", "production"


class Wanted(NamedTuple):
    """The side of the request. Tokens are estimated ones in and the most that may come out."""

    tokens_in: int
    tokens_out: int
    task: str
    environment: str


class Facts(NamedTuple):
    """What the factors of one candidate are computed from.

    ``price`` is micro-dollars per million tokens in the request's own mix of input and output; ``errors`` the error
    rate with ``GRANTED_SAMPLES`` answered ones added (see ``errors_of``), 1 while the breaker is open; ``latency_ms``
    the measured p95 if ``measured``, else the typical one of the catalogue; the others are 0 to 1.
    """

    price: int
    quota_left: float
    errors: float
    latency_ms: float
    strength: float
    preference: float
    measured: bool


class Points(NamedTuple):
    cost: float
    quota: float
    health: float
    latency: float
    task: float
    environment: float
    total: float


def facts_of(candidate: Candidate, known: Evidence, wanted: Wanted) -> Facts:
    latency_ms, measured = latency_of(candidate, known)
    tokens_in, tokens_out = wanted.tokens_in, wanted.tokens_out
    return Facts(
        (tokens_in * candidate.price_in + tokens_out * candidate.price_out) // (tokens_in + tokens_out or 1),
        1.0 if known.quota_left is None else known.quota_left,
        errors_of(known),
        latency_ms,
        candidate.strengths.get(wanted.task, UNSTATED_STRENGTH),
        preference(candidate, wanted.environment),
        measured,
    )


def points_of(facts: Facts, weights: Weights) -> Points:
    price, quota_left, errors, latency_ms, strength, preferred, _ = facts
    cost = weights.cost * cost_share(price)
    quota = weights.quota * quota_left
    health = weights.health * health_share(errors)
    latency = weights.latency * latency_share(latency_ms)
    task = weights.task * strength
    environment = weights.environment * preferred
    total = cost + quota + health + latency + task + environment
    return Points(cost, quota, health, latency, task, environment, total)


def cost_share(price: float) -> float:
    """1 for free, half at HALF_PRICE, never 0: it tells $5 from $10 as well as $0.05 from $0.10."""
    return HALF_PRICE / (HALF_PRICE + price)


def latency_share(ms: float) -> float:
    return HALF_LATENCY_MS / (HALF_LATENCY_MS + ms)


def health_share(errors: float) -> float:
    """1 without errors, 0 at NEUTRAL_ERRORS, -1 from twice as many on."""
    return 1.0 - errors / NEUTRAL_ERRORS if errors < 2 * NEUTRAL_ERRORS else -1.0


def errors_of(known: Evidence) -> float:
    """The error rate, drawn to 0 as if GRANTED_SAMPLES more had been answered: one failure proves little.

    A candidate that is never asked so counts as healthy. Were unknown worth no points, whoever is asked would pull
    away from those that are not, and no cheaper or faster one would ever be found out.
    """
    if known.breaker == "open":
        return 1.0
    return known.error_rate * known.samples / (known.samples + GRANTED_SAMPLES)


def latency_of(candidate: Candidate, known: Evidence) -> tuple[float, bool]:
    """Milliseconds, and whether they were measured."""
    if known.p95_ms is not None and known.samples >= ENOUGH_SAMPLES:
        return known.p95_ms, True
    return float(candidate.typical_latency_ms), False


def preference(candidate: Candidate, environment: str) -> float:
    """Development wants what is preferred there (local models), so that free tiers are saved. Every other environment
    wants the best answers among what is preferred in it or in production."""
    preferred = candidate.environments
    if environment == DEVELOPMENT:
        return float(not preferred or environment in preferred)
    if preferred and environment not in preferred and PRODUCTION not in preferred:
        return 0.0
    return candidate.quality / 100
