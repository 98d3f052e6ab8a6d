"""The board: who may be asked, and what the planner is told of everybody."""

import pytest
from redis.asyncio import Redis

from relay_project.embedded.ports import free_port
from routing.core.breaker import Failure
from routing.core.evidence import NOTHING_KNOWN, Evidence
from routing.evidence import EvidenceBoard

NOW = 1_800_000_000.0
BROKEN = Failure("http_500")
REFUSED = Failure("connection_failed", unreachable=True)


@pytest.fixture
def board() -> EvidenceBoard:
    return EvidenceBoard()


def known(board: EvidenceBoard, name: str = "a") -> Evidence:
    return board.current().get(name, NOTHING_KNOWN)


def test_who_was_never_asked_may_be_asked_and_nothing_is_said_of_it(board: EvidenceBoard) -> None:
    assert board.why_not("a", NOW, alone=False) == ""
    assert board.asked("a", NOW) == "closed"
    assert board.retry_after_s(["a"], NOW) == 1
    assert board.current() == {}


def test_an_open_breaker_is_known_at_once_and_of_that_deployment_only(board: EvidenceBoard) -> None:
    board.failed("a", REFUSED, NOW)
    assert known(board).breaker == "open"
    assert (known(board).retry_at, known(board).why) == (NOW + 2, "Failed lately (connection_failed)")
    assert board.why_not("a", NOW + 1, alone=False)
    assert board.why_not("a", NOW, alone=True)
    assert not board.why_not("b", NOW, alone=False)
    assert board.retry_after_s(["a"], NOW) == 1


def test_when_its_pause_is_over_one_request_probes_and_its_content_closes_it(board: EvidenceBoard) -> None:
    board.failed("a", REFUSED, NOW)
    later = NOW + 2
    board.refresh(later)
    assert known(board).breaker == "half_open", "a plan may put it in its place again"
    assert not board.why_not("a", later, alone=False)
    assert board.asked("a", later) == "half_open"
    assert board.why_not("a", later, alone=False) and known(board).retry_at == later + 2
    board.began("a", later)
    assert known(board).breaker == "closed" and known(board).retry_at == 0
    board.answered("a", 120, later)
    assert board.asked("a", later) == "closed"


def test_what_failed_before_it_closed_is_not_held_against_it(board: EvidenceBoard) -> None:
    for _ in range(30):
        board.failed("a", BROKEN, NOW)
    board.asked("a", NOW + 2)
    board.answered("a", 10, NOW + 2)
    board.failed("a", BROKEN, NOW + 2)
    assert known(board).breaker == "closed"


def test_too_many_requests_are_no_failure_but_a_rest(board: EvidenceBoard) -> None:
    board.limited("a", 17.2, NOW)
    board.refresh(NOW)
    seen = known(board)
    assert (seen.breaker, seen.samples, seen.error_rate) == ("closed", 0, 0.0)
    assert seen.retry_at == seen.limited_until == pytest.approx(NOW + 17.2)
    assert "limits the rate" in seen.why and "limits the rate" in board.why_not("a", NOW + 17, alone=True)
    assert board.retry_after_s(["a", "a"], NOW) == 18
    assert not board.why_not("a", NOW + 17.5, alone=False)


def test_rests_grow_while_the_provider_does_not_say_how_long_and_end_with_an_answer(board: EvidenceBoard) -> None:
    board.limited("a", None, NOW)
    board.limited("a", None, NOW + 1)  # was under way
    assert known(board).limited_until == NOW + 3
    board.answered("a", 5, NOW + 2)  # so was this
    assert board.why_not("a", NOW + 2, alone=True)
    board.limited("a", None, NOW + 3)
    assert known(board).limited_until == NOW + 7
    board.answered("a", 5, NOW + 7)
    board.limited("a", None, NOW + 7)
    assert known(board).limited_until == NOW + 9
    board.limited("a", 10**6, NOW + 9)
    assert known(board).limited_until == NOW + 9 + 3600


def test_error_rate_latency_and_burn_are_of_the_last_minutes(board: EvidenceBoard) -> None:
    for number in range(40):
        board.answered("a", 100 if number < 20 else 300, NOW)
    for _ in range(4):
        board.failed("a", BROKEN, NOW)
    board.refresh(NOW + 1)
    seen = known(board)
    assert seen.samples == 44 and seen.error_rate == pytest.approx(1 / 11)
    assert seen.p95_ms is not None and 200 < seen.p95_ms < 400
    assert seen.burn.m5 == seen.burn.h6 == pytest.approx(100 / 11)
    board.refresh(NOW + 600)
    assert (known(board).samples, known(board).burn.m5) == (0, 0)
    assert known(board).burn.m30 == pytest.approx(100 / 11)


def test_a_quota_is_told_when_it_changes(board: EvidenceBoard) -> None:
    board.quota("a", 0.5, "100 of 200 requests a day.", 0.0)
    first = known(board)
    assert (first.quota_left, first.quota_why, first.retry_at) == (0.5, "100 of 200 requests a day.", 0.0)
    board.quota("a", 0.495, "101 of 200 requests a day.", 0.0)
    assert known(board) is first, "too little to change a plan"
    board.quota("a", 0.0, "200 of 200 requests a day.", NOW + 50)
    board.refresh(NOW)
    assert known(board).quota_left == 0
    assert (known(board).retry_at, known(board).why) == (NOW + 50, "200 of 200 requests a day")
    assert known(board).limited_until == NOW + 50


async def test_without_redis_it_is_refreshed_from_what_this_process_saw(board: EvidenceBoard) -> None:
    board.answered("a", 100, NOW)
    async with Redis.from_url(f"redis://127.0.0.1:{free_port()}") as away:
        await board.share(away, NOW)
    assert known(board).samples == 1
