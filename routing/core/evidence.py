"""What is known of a deployment when a request is planned: a value rolled up from recent outcomes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Burn:
    """Burn rates: the error ratio of a window / (1 - SLO). 1 spends the error budget just in time."""

    m5: float = 0.0
    m30: float = 0.0
    h1: float = 0.0
    h6: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """``retry_at`` (epoch seconds): until then it is tried last, ``why`` says for what reason.

    ``error_rate`` (0 to 1) and ``p95_ms`` are of the last five minutes and rest on ``samples`` attempts.
    ``quota_left`` (0 to 1) is of its tightest limit; None without limits.
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


NOTHING_KNOWN = Evidence()
