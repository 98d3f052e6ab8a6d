"""The pool of one process: capacity, protection, fairness, and one end for every ticket."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from scheduling.core.fairness import Counters, FairQueue, Ticket
from scheduling.core.lanes import DEFAULT_LANES, LaneConfig, LanePool, lane_limits

LANES = st.sampled_from(["short", "long"])
TENANTS = st.sampled_from(["acme", "globex", "initech"])
COSTS = st.integers(0, 2_000)


def ticket(
    number: int, lane: str = "short", tenant: str = "acme", cost: int = 100, arrived: float | None = None
) -> Ticket:
    return Ticket(("p", number), lane, tenant, cost, float(number) if arrived is None else arrived)


class PoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.capacity = 4
        self.pool = LanePool(self.capacity, DEFAULT_LANES)
        self.running: list[str] = []
        self.waiting: dict[int, Ticket] = {}
        self.ended: set[int] = set()
        self.number = 0

    @rule(lane=LANES, tenant=TENANTS, cost=COSTS)
    def arrive(self, lane: str, tenant: str, cost: int) -> None:
        self.number += 1
        if self.pool.start(lane, tenant, cost):
            self.running.append(lane)
            self.ended.add(self.number)
        else:
            self.waiting[self.number] = ticket(self.number, lane, tenant, cost)
            self.pool.enqueue(self.waiting[self.number])

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.pool.release(self.running.pop(data.draw(st.integers(0, len(self.running) - 1))))
        self.serve()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.waiting)))
        assert self.pool.cancel(("p", number))
        assert not self.pool.cancel(("p", number))
        self.end(number)
        self.serve()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def grant_from_elsewhere(self, data: st.DataObject) -> None:
        """A slot of another process moves here, and goes to a ticket of the worker's choice."""
        number = data.draw(st.sampled_from(sorted(self.waiting)))
        lane = self.waiting[number].lane
        self.capacity += 1
        self.pool.set_permits(self.capacity, {slug: limit + 1 for slug, limit in self.pool.limits.items()})
        assert self.pool.grant(("p", number)) is not None
        assert self.pool.grant(("p", number)) is None
        self.end(number)
        self.running.append(lane)
        self.serve()

    def serve(self) -> None:
        while given_one := self.pool.next_grant():
            self.end(given_one.id[1])
            self.running.append(given_one.lane)

    def end(self, number: int) -> None:
        assert number not in self.ended
        self.ended.add(number)
        del self.waiting[number]

    @invariant()
    def capacity_and_protection_hold(self) -> None:
        assert self.pool.total == sum(self.pool.in_flight.values()) == len(self.running) <= self.capacity
        assert all(self.pool.in_flight[lane] <= limit for lane, limit in self.pool.limits.items())
        assert self.pool.limits["long"] < self.capacity

    @invariant()
    def no_slot_idles_while_someone_may_have_it(self) -> None:
        if self.pool.total < self.capacity:
            full = {lane for lane, used in self.pool.in_flight.items() if used >= self.pool.limits[lane]}
            assert all(waiting.lane in full for waiting in self.waiting.values())

    @invariant()
    def nobody_is_lost(self) -> None:
        assert {waiting.id[1] for waiting in self.pool.queue.tickets()} == set(self.waiting)
        assert len(self.ended) + len(self.waiting) == self.number
        assert sum(self.pool.queue.depths().values()) == len(self.pool.queue) == len(self.waiting)


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def one_slot() -> LanePool:
    pool = LanePool(1, DEFAULT_LANES)
    assert pool.start("short", "acme", 1)
    return pool


def serve_one(pool: LanePool, running: str) -> Ticket | None:
    pool.release(running)
    return pool.next_grant()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TENANTS, st.integers(1, 500)), min_size=60, max_size=200), st.integers(10, 40))
def test_tenants_that_always_wait_get_equal_tokens_whatever_their_requests_cost(
    arrivals: list[tuple[str, int]], turns: int
) -> None:
    pool = one_slot()
    for number, (tenant, cost) in enumerate(arrivals):
        pool.enqueue(ticket(number, tenant=tenant, cost=cost))
    got = dict.fromkeys(pool.queue.depths_by_tenant("short"), 0)
    for _ in range(turns):
        served = serve_one(pool, "short")
        assert served is not None
        got[served.tenant] += served.cost
        if len(pool.queue.depths_by_tenant("short")) < len(got):
            break
        assert max(got.values()) - min(got.values()) <= 2 * 500


def test_lanes_share_by_weight_when_both_always_wait() -> None:
    pool = one_slot()
    for number in range(80):
        pool.enqueue(ticket(2 * number, "short"))
        pool.enqueue(ticket(2 * number + 1, "long"))
    running, got = "short", {"short": 0, "long": 0}
    for _ in range(40):
        served = serve_one(pool, running)
        assert served is not None
        running = served.lane
        got[running] += 1
    assert got == {"short": 30, "long": 10}


def test_small_requests_that_never_cease_starve_no_large_one() -> None:
    pool = one_slot()
    pool.enqueue(ticket(0, tenant="patient", cost=5_000))
    pool.enqueue(ticket(1, tenant="patient", cost=5_000))
    served: list[str] = []
    for number in range(2, 200):
        pool.enqueue(ticket(number, tenant=f"restless-{number % 3}"))
        next_one = serve_one(pool, "short")
        assert next_one is not None
        served.append(next_one.tenant)
    assert served.index("patient") == 0
    assert 3 * 5_000 / 100 <= served.index("patient", 1) <= 3 * 5_000 / 100 + 3


def test_a_pause_saves_up_no_credit() -> None:
    pool = one_slot()
    for number in range(20):
        pool.enqueue(ticket(number, tenant="busy"))
    for _ in range(10):
        serve_one(pool, "short")
    for number in range(20, 40):
        pool.enqueue(ticket(number, tenant="back again"))
    turns = [serve_one(pool, "short") for _ in range(10)]
    assert sum(1 for turn in turns if turn and turn.tenant == "busy") == 5


def test_first_come_first_served_within_a_tenant_also_when_reported_late() -> None:
    queue = FairQueue({"short": 3, "long": 1})
    queue.push(ticket(1, arrived=5.0))
    queue.push(ticket(2, arrived=3.0))
    assert queue.pop(["long"]) is None
    assert [queue.pop(["short"]) for _ in range(3)] == [ticket(2, arrived=3.0), ticket(1, arrived=5.0), None]
    assert queue.take(("p", 9)) is None


def test_counters_forget_who_has_no_claim_any_more() -> None:
    counters = Counters()
    for number in range(2_000):
        counters.join(f"tenant-{number}", ())
        counters.charge(f"tenant-{number}", 10)
        counters.charge("whale", 50)
    assert len(counters.served) < 1_000
    assert counters.position("whale") == max(counters.served.values())


@given(st.integers(0, 200), st.integers(0, 90), st.integers(0, 90))
def test_each_lane_can_fill_a_slot_and_leaves_the_protected_ones(capacity: int, for_short: int, for_long: int) -> None:
    lanes = {
        slug: LaneConfig(slug, 1, percent, 9, 9, 9) for slug, percent in {"short": for_short, "long": for_long}.items()
    }
    limits = lane_limits(capacity, lanes)
    for lane, other in (("short", for_long), ("long", for_short)):
        assert min(capacity, 1) <= limits[lane] <= capacity
        if capacity > 1:
            assert limits[lane] <= max(1, capacity - capacity * other / 100)


def test_edited_weights_hold_for_those_who_wait_already() -> None:
    pool = one_slot()
    for number in range(40):
        pool.enqueue(ticket(number, "short" if number % 2 else "long"))
    pool.configure({slug: LaneConfig(slug, 1, 0, 9, 9, 9) for slug in DEFAULT_LANES})
    running, turns = "short", []
    for _ in range(20):
        served = serve_one(pool, running)
        assert served is not None
        turns.append(running := served.lane)
    assert turns.count("short") == turns.count("long")
