from hypothesis import given
from hypothesis import strategies as st

from routing.core.retry_budget import HEDGES, RETRIES, WINDOW_S, Budget, Traffic, counted, granted, spend

MOMENTS = st.lists(st.tuples(st.floats(0, 6), st.booleans()), max_size=300)
BUDGETS = st.builds(Budget, st.floats(0, 0.5), st.integers(0, 20))


@given(BUDGETS, MOMENTS)
def test_with_each_second_call_those_of_two_stretches_are_a_share_of_the_requests_and_a_few(
    budget: Budget, moments: list[tuple[float, bool]]
) -> None:
    requests, now = Traffic(), 0.0
    came: dict[int, int] = {}
    spent: dict[int, int] = {}
    for passed, wants in moments:
        now += passed
        window = int(now // WINDOW_S)
        requests = counted(requests, now)
        came[window] = came.get(window, 0) + 1
        before = granted(budget, requests, now)
        left = before - counted(budget.spent, now, 0).both
        budget, allowed = spend(budget, requests, now) if wants else (budget, False)
        assert allowed == (wants and left >= 1)
        spent[window] = spent.get(window, 0) + allowed
        both = (window - 1, window)
        limit = budget.share * sum(came.get(one, 0) for one in both) + budget.floor
        assert not allowed or sum(spent.get(one, 0) for one in both) <= limit


def test_a_thousand_requests_of_an_outage_cause_a_tenth_and_sixty_more_calls() -> None:
    requests, budget, allowed = Traffic(), RETRIES, 0
    for _ in range(1000):
        requests = counted(requests, 5.0)
        budget, yes = spend(budget, requests, 5.0)
        allowed += yes
    assert allowed == 160


def test_a_quiet_process_may_do_both_and_what_was_spent_long_ago_is_forgotten() -> None:
    budget = HEDGES
    for _ in range(HEDGES.floor):
        budget, allowed = spend(budget, Traffic(), 5.0)
        assert allowed
    assert spend(budget, Traffic(), 15.0) == (budget, False), "the stretch before counts, too"
    assert spend(budget, Traffic(), 25.0)[1]
