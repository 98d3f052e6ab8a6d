"""What a waiting request is told."""

from hypothesis import given
from hypothesis import strategies as st

from scheduling.core.estimates import degraded_tokens, predicted_wait_s, retry_after_s, smoothed
from scheduling.core.fairness import FairQueue
from scheduling.tests.test_fair_order import ticket

SERVICE = {"short": 2.0, "long": 10.0}


def queue_of(*tenants: str, lane: str = "short") -> FairQueue:
    queue = FairQueue({"short": 3, "long": 1})
    for number, tenant in enumerate(tenants):
        queue.push(ticket(number, lane, tenant))
    return queue


def test_a_free_slot_and_no_queue_mean_no_wait() -> None:
    assert predicted_wait_s(queue_of(), "short", "acme", slots=2, service_s=SERVICE, running=1) == 0


def test_work_ahead_is_shared_by_the_slots() -> None:
    queue = queue_of("acme", "acme", "acme")
    assert predicted_wait_s(queue, "short", "acme", slots=2, service_s=SERVICE, running=2) == (3 * 2 + 2) / 2


def test_a_newcomer_waits_for_one_turn_of_each_tenant_not_for_the_whole_backlog() -> None:
    queue = queue_of("acme", "acme", "acme", "globex")
    assert predicted_wait_s(queue, "short", "initech", slots=1, service_s=SERVICE, running=0) == 2 * 2


def test_the_other_lane_slows_it_down_by_its_weight_only() -> None:
    queue = queue_of(*["acme"] * 50, lane="long")
    assert predicted_wait_s(queue, "short", "acme", slots=1, service_s=SERVICE, running=0) == 2.0 / 3
    assert predicted_wait_s(queue, "long", "globex", slots=1, service_s={}, running=0) == 1.0


@given(st.floats(0, 1e6))
def test_retry_after_is_whole_seconds_within_a_minute(predicted_s: float) -> None:
    assert 1 <= retry_after_s(predicted_s) <= 60
    assert retry_after_s(2.1) == 3


@given(st.none() | st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_degraded_answer_is_never_longer_than_asked_for(asked: int | None, limit: int) -> None:
    assert degraded_tokens(asked, limit) == (limit if asked is None else min(asked, limit))


def test_the_average_follows_what_it_sees() -> None:
    assert smoothed(None, 4.0) == 4.0
    assert smoothed(4.0, 9.0) == 5.0
