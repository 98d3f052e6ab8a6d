from routing.health import HealthBoard
from routing.keeping import tell
from tenants.core.limits import Limit
from tenants.core.spend import Left


def left(metric: str, used: int, limit: int) -> Left:
    return Left(Limit("d1", metric, "day", limit, deployment="groq"), used, 600)


def test_the_planner_hears_of_the_tightest_limit_and_not_how_much_all_tenants_used() -> None:
    board = HealthBoard()
    tightest = tell(board, (left("requests", 100, 14_400), left("tokens", 750, 1_000)), 1_000.0)
    assert tightest.limit.metric == "tokens"
    known = board.current()["groq"]
    assert known.quota_left == 0.25 and known.quota_why == "25% of 1,000 tokens a day left"
    assert "750" not in known.quota_why


def test_a_failure_and_an_answer_leave_what_is_known_of_quotas() -> None:
    board = HealthBoard()
    tell(board, (left("requests", 10, 10),), 1_000.0)
    board.failed("groq", "refused", now=0.0)
    board.answered("groq")
    assert (board.current()["groq"].quota_left, board.current()["groq"].retry_at) == (0.0, 0.0)
