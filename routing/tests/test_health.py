from routing.health import FIRST_S, LONGEST_S, HealthBoard


def test_each_failure_in_a_row_doubles_the_pause_up_to_a_minute() -> None:
    board = HealthBoard()
    pauses, now = [], 100.0
    for _ in range(1200):
        board.failed("a", "Answered 503.", now=now)
        pauses.append(board.current()["a"].retry_at - now)
        now = board.current()["a"].retry_at
    assert pauses[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert pauses[-1] == LONGEST_S
    assert board.current()["a"].why == "Failed lately (Answered 503)"


def test_requests_that_fail_together_count_once() -> None:
    board = HealthBoard()
    for _ in range(25):
        board.failed("a", "refused", now=100.0)
    assert board.current()["a"].retry_at == 100.0 + FIRST_S


def test_an_answer_forgives_everything_of_that_deployment_only() -> None:
    board = HealthBoard()
    board.failed("a", "refused", now=0.0)
    board.failed("a", "refused", now=0.0)
    board.failed("b", "refused", now=0.0)
    board.answered("a")
    board.answered("never failed")
    assert set(board.current()) == {"b"}
    board.failed("a", "refused", now=0.0)
    assert board.current()["a"].retry_at == FIRST_S


def test_retry_after_is_honoured_up_to_an_hour_and_never_shortens_the_pause() -> None:
    board = HealthBoard()
    board.failed("a", "Answered 429.", now=0.0, retry_after_s=30)
    assert board.current()["a"].retry_at == 30
    board.failed("b", "Answered 429.", now=0.0, retry_after_s=10**6)
    assert board.current()["b"].retry_at == 3600
    board.failed("c", "Answered 429.", now=0.0, retry_after_s=0)
    assert board.current()["c"].retry_at == FIRST_S
