"""What the planner hears of the limits of deployments."""

from routing.core.breaker import Failure
from routing.core.evidence import Evidence
from routing.evidence import EvidenceBoard
from routing.keeping import tell
from tenants.core.limits import Limit
from tenants.core.spend import Left

NOW = 1_000.0


def left(metric: str, used: int, limit: int, window: str = "day") -> Left:
    return Left(Limit("d1", metric, window, limit, deployment="groq"), used, 600)


def heard(*limits: Left) -> Evidence:
    board = EvidenceBoard()
    tell(board, limits, NOW)
    board.refresh(NOW)
    return board.current()["groq"]


def test_the_planner_hears_of_the_tightest_limit_and_not_how_much_all_tenants_used() -> None:
    known = heard(left("requests", 100, 14_400), left("tokens", 750, 1_000))
    assert known.quota_left == 0.25 and known.quota_why == "25% of 1,000 tokens a day left"
    assert "750" not in known.quota_why


def test_what_a_minute_still_allows_is_a_rate_and_no_quota() -> None:
    assert heard(left("requests", 19, 20, "minute"), left("requests", 50, 200)).quota_left == 0.75
    assert heard(left("requests", 19, 20, "minute")).quota_left == 1.0


def test_a_minute_that_is_spent_is_waited_for() -> None:
    known = heard(left("requests", 20, 20, "minute"), left("requests", 50, 200))
    assert (known.limited_until, known.why) == (NOW + 600, "0% of 20 requests a minute left")
    assert known.quota_left == 0.75


def test_a_failure_and_an_answer_leave_what_is_known_of_quotas() -> None:
    board = EvidenceBoard()
    tell(board, (left("requests", 10, 10),), NOW)
    board.failed("groq", Failure("refused"), NOW)
    board.answered("groq", 100.0, NOW)
    assert board.current()["groq"].quota_left == 0.0
