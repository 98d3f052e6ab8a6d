"""What is known of a deployment when a request is planned: a value rolled up from recent outcomes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Burn:
    """Burn rates: the error ratio of a window / (1 - SLO), for an SLO of 0.99; 1 spends the error budget just in time.

    For another SLO multiply by 0.01 / (1 - SLO). A window of fewer than ten attempts says 0.
    """

    m5: float = 0.0
    m30: float = 0.0
    h1: float = 0.0
    h6: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """``retry_at`` (epoch seconds): until then it is tried last, ``why`` says for what reason: its breaker is not
    closed, its provider said “too many requests”, or its quota is spent.

    ``error_rate`` (0 to 1) and ``p95_ms`` (to the whole answer) are of the last five minutes and rest on ``samples``
    attempts of all processes. ``quota_left`` (0 to 1) is of its tightest limit; None without limits.
    ``limited_until`` (epoch seconds): it takes no request before, by its rate limit or quota.
    """

    samples: int = 0
    error_rate: float = 0.0
    p95_ms: float | None = None
    burn: Burn = Burn()
    breaker: str = "closed"  # closed | open | half_open
    retry_at: float = 0.0
    why: str = ""
    quota_left: float | None = None
    quota_why: str = ""
    limited_until: float = 0.0


NOTHING_KNOWN = Evidence()
