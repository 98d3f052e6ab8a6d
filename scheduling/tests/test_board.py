"""Several processes and one worker, with messages that are late or lost, simulated without a clock."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from scheduling.core.board import LEASE_S, Board
from scheduling.core.desk import Desk, Outcome
from scheduling.core.fairness import Ticket
from scheduling.core.lanes import DEFAULT_LANES, LaneConfig, Lanes, lane_limits
from scheduling.core.messages import Order, Report
from scheduling.core.shares import Claim, divide, own_share

POOL = "llama"


@dataclass
class Web:
    """What the client does with its desk, without futures."""

    desk: Desk
    lanes_running: list[str] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    inbox: list[Order] = field(default_factory=list)
    number: int = 0
    seq: int = 0

    def ask(self, lane: str, tenant: str, *, capacity: int, now: float) -> None:
        pool = self.desk.asked(POOL, capacity, now)
        if pool.slots.start(lane, tenant, 100):
            self.lanes_running.append(lane)
        elif not self.desk.queue_is_full(pool, lane):
            self.number += 1
            pool.slots.enqueue(Ticket((self.desk.process, self.number), lane, tenant, 100, now))
            self.waiting.append(self.number)

    def finish(self, place: int) -> None:
        self.desk.release(self.desk.pools[POOL], self.lanes_running.pop(place), 1.0)
        self.serve()

    def give_up(self) -> None:
        self.desk.pools[POOL].slots.cancel((self.desk.process, self.waiting.pop()))

    def serve(self) -> None:
        for pool in self.desk.pools.values():
            while ticket := pool.slots.next_grant():
                self.begin(ticket.id[1], ticket.lane)

    def begin(self, number: int, lane: str) -> None:
        self.waiting.remove(number)
        self.lanes_running.append(lane)

    def report(self, now: float) -> Report:
        self.seq += 1
        return self.desk.report(seq=self.seq, reply=self.desk.process, now=now)

    def read(self, most: int = 99) -> None:
        for _ in range(min(most, len(self.inbox))):
            self.obey(self.inbox.pop(0))

    def obey(self, order: Order) -> None:
        for outcome in self.desk.apply(order):
            self.note(outcome)
        self.serve()

    def note(self, outcome: Outcome) -> None:
        if outcome.kind == "granted":
            running = outcome.pool.slots.in_flight
            lane = next(lane for lane in running if running[lane] > self.lanes_running.count(lane))
            self.begin(outcome.id[1], lane)
        elif outcome.kind == "refused":
            self.waiting.remove(outcome.id[1])
            self.refused.append(outcome.id[1])


class House:
    def __init__(self, *, capacity: int, processes: int, lanes: Lanes = DEFAULT_LANES) -> None:
        self.capacity = capacity
        self.lanes = lanes
        self.now = 0.0
        self.webs = [Web(Desk(f"web-{number}", processes, lanes)) for number in range(processes)]
        self.workers = 0
        self.start_worker()

    def start_worker(self) -> None:
        self.workers += 1
        self.board = Board(f"worker-{self.workers}", self.now)

    def ask(self, place: int, lane: str = "short", tenant: str = "acme") -> None:
        self.webs[place].ask(lane, tenant, capacity=self.capacity, now=self.now)

    def exchange(self, place: int, *, lose: int = 0, late: int = 0) -> None:
        """One report and the orders that follow. ``lose`` has a bit for each order, ``late`` for each web."""
        for count, (channel, order) in enumerate(self.board.hear(self.webs[place].report(self.now), self.now)):
            if not lose >> count & 1:
                self.webs[int(channel.removeprefix("web-"))].inbox.append(order)
        for number, web in enumerate(self.webs):
            if not late >> number & 1:
                web.read()

    def settle(self, seconds: float = 0.0) -> None:
        """Everybody talks, as often as it takes for permits to move."""
        self.now += seconds
        for _ in range(4):
            for place in range(len(self.webs)):
                self.exchange(place)

    def warm(self) -> "House":
        self.settle()
        self.settle(LEASE_S - 0.5)
        self.settle(1.0)
        return self

    def running(self, lane: str = "") -> int:
        return sum(
            running.count(lane) if lane else len(running) for running in (web.lanes_running for web in self.webs)
        )

    def waiting(self) -> int:
        return sum(len(web.waiting) for web in self.webs)


class HouseMachine(RuleBasedStateMachine):
    """The promise holds while messages are lost or late, and when the worker restarts before anybody notices."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House(capacity=6, processes=3)

    @rule(place=st.integers(0, 2), lane=st.sampled_from(["short", "long"]), tenant=st.sampled_from(["acme", "globex"]))
    def ask(self, place: int, lane: str, tenant: str) -> None:
        self.house.ask(place, lane, tenant)

    @precondition(lambda self: self.house.running())
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        web = data.draw(st.sampled_from([web for web in self.house.webs if web.lanes_running]))
        web.finish(data.draw(st.integers(0, len(web.lanes_running) - 1)))

    @precondition(lambda self: self.house.waiting())
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from([web for web in self.house.webs if web.waiting])).give_up()

    @rule(
        place=st.integers(0, 2),
        lose=st.integers(0, 7),
        late=st.integers(0, 7),
        seconds=st.sampled_from([0.0, 0.0, 0.25, 0.5]),
    )
    def exchange(self, place: int, lose: int, late: int, seconds: float) -> None:
        self.house.now += seconds
        for heartbeat in range(3):
            if heartbeat == place or seconds:
                self.house.exchange(heartbeat, lose=lose, late=late)

    @rule(place=st.integers(0, 2))
    def read_one(self, place: int) -> None:
        self.house.webs[place].read(1)

    @rule()
    def restart_worker(self) -> None:
        self.house.settle()
        self.house.start_worker()

    @invariant()
    def capacity_holds_over_all_processes(self) -> None:
        assert self.house.running() <= 6

    def teardown(self) -> None:
        """Whatever happened, when the talk goes on all that waits is served, and no slot idles meanwhile."""
        self.house.warm()
        while self.house.waiting():
            full = self.house.running() == 6 or self.house.running("long") == lane_limits(6, DEFAULT_LANES)["long"]
            assert full
            next(web for web in self.house.webs if web.lanes_running).finish(0)
            self.house.settle()
        assert all(
            web.desk.pools[POOL].slots.total == len(web.lanes_running) for web in self.house.webs if web.desk.pools
        )


TestHouse = HouseMachine.TestCase
TestHouse.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_without_contention_spare_slots_lie_ready_in_every_process() -> None:
    house = House(capacity=5, processes=2).warm()
    house.ask(0)
    house.settle(0.25)
    assert [web.desk.pools[POOL].slots.permits for web in house.webs] == [3, 2]
    assert not any(web.desk.pools[POOL].contended for web in house.webs)


def test_one_process_may_fill_the_whole_pool_when_the_others_are_idle() -> None:
    house = House(capacity=4, processes=2).warm()
    for _ in range(6):
        house.ask(0)
    house.settle(0.25)
    assert (house.running(), house.waiting()) == (4, 2)


def test_the_protected_slot_is_left_free_by_long_requests_of_all_processes() -> None:
    house = House(capacity=4, processes=2).warm()
    for place in (0, 1) * 4:
        house.ask(place, "long")
    house.settle(0.25)
    assert house.running("long") == 3
    house.ask(1, "short")
    house.settle(0.01)
    assert house.running("short") == 1


def test_under_contention_freed_slots_go_round_the_tenants_of_all_processes() -> None:
    house = House(capacity=2, processes=2).warm()
    for _ in range(12):
        house.ask(0, tenant="acme")
    for _ in range(4):
        house.ask(1, tenant="globex")
    house.settle(0.25)
    for _ in range(4):
        next(web for web in house.webs if web.lanes_running).finish(0)
        house.settle(0.01)
    assert len(house.webs[1].waiting) <= 2
    assert house.running() == 2


def test_the_queue_bound_holds_over_all_processes() -> None:
    lanes = {**DEFAULT_LANES, "short": LaneConfig("short", 3, 25, 3, 1_000, 64)}
    house = House(capacity=1, processes=2, lanes=lanes).warm()
    for place in (0, 1) * 4:
        house.ask(place)
    house.settle(0.25)
    assert house.waiting() == 3
    assert sum(len(web.refused) for web in house.webs) > 0
    house.settle(0.25)
    assert house.waiting() == 3


def test_a_dead_process_loses_its_slots_and_places_after_its_lease() -> None:
    house = House(capacity=2, processes=2).warm()
    for place in (0, 0, 0, 1):
        house.ask(place)
    house.settle(0.25)
    house.webs[1].desk.pools[POOL].service_s["short"] = 1.0
    house.settle(0.25)
    dead = house.webs.pop(0)
    house.ask(-1)
    house.ask(-1)
    assert len(house.webs[0].waiting) == 3 - (dead.desk.pools[POOL].slots.total == 1)
    for _ in range(2):
        house.now += LEASE_S - 1
        for channel, order in house.board.hear(house.webs[0].report(house.now), house.now):
            if channel == "web-1":
                house.webs[0].obey(order)
    assert house.webs[0].desk.pools[POOL].slots.total == 2
    assert set(house.board.processes) == {"web-1"}


def test_a_silent_worker_leaves_each_process_its_last_share() -> None:
    house = House(capacity=4, processes=2).warm()
    for _ in range(6):
        house.ask(0)
    house.settle(0.25)
    for web in house.webs:
        web.desk.stand_alone()
        web.serve()
    house.ask(1)
    assert [len(web.lanes_running) for web in house.webs] == [4, 1]
    house.webs[0].finish(0)
    assert len(house.webs[0].lanes_running) == 4
    house.start_worker()
    house.settle(0.25)
    assert not any(web.desk.alone for web in house.webs)
    for _ in range(2):
        house.settle(LEASE_S / 2)
    house.webs[0].finish(0)
    house.webs[0].finish(0)
    house.settle(0.25)
    assert house.running() == 4


def test_a_new_worker_hands_out_nothing_for_one_lease() -> None:
    house = House(capacity=4, processes=2).warm()
    for _ in range(4):
        house.ask(0)
    house.settle(0.25)
    house.start_worker()
    house.settle(0.25)
    assert [web.desk.pools[POOL].slots.permits for web in house.webs] == [4, 0]
    house.ask(1)
    house.settle(LEASE_S - 0.5)
    assert len(house.webs[1].waiting) == 1
    house.settle(0.5)
    house.webs[0].finish(0)
    house.settle(0.01)
    assert not house.webs[1].waiting


def test_edits_of_capacity_and_lanes_take_effect_without_a_restart() -> None:
    house = House(capacity=1, processes=1).warm()
    for _ in range(3):
        house.ask(0)
    house.settle(0.25)
    house.capacity = 2
    house.ask(0)
    house.settle(0.25)
    assert house.running() == 2
    house.webs[0].desk.configure({**DEFAULT_LANES, "short": LaneConfig("short", 9, 0, 3, 1, 1)})
    house.settle(0.25)
    assert house.board.pools[POOL].queue.weights == {"short": 9, "long": 1}


def test_a_process_without_a_worker_follows_edits_too() -> None:
    desk = Desk("web-0", 2, DEFAULT_LANES)
    pool = desk.asked(POOL, 8, 0.0)
    assert (pool.slots.permits, pool.slots.limits["long"]) == (4, 3)
    assert desk.asked(POOL, 16, 0.0).slots.permits == 8
    assert desk.asked(POOL, 2, 0.0).slots.permits == 2
    desk.configure({**DEFAULT_LANES, "short": LaneConfig("short", 3, 0, 3, 1, 1)})
    desk.configure(desk.lanes)
    assert pool.slots.limits["long"] == 2
    assert not desk.queue_is_full(pool, "short")
    assert desk.predicted_s(pool, "short", "acme") == 0


def test_an_old_or_repeated_message_changes_nothing() -> None:
    house = House(capacity=2, processes=1).warm()
    house.ask(0)
    report = house.webs[0].report(house.now)
    [(_, order)] = house.board.hear(report, house.now)
    assert house.board.hear(report, house.now) == []
    house.webs[0].obey(order)
    assert list(house.webs[0].desk.apply(order)) == []


def test_a_raise_that_was_sent_counts_until_a_later_order_is_confirmed() -> None:
    house = House(capacity=4, processes=2).warm()
    for _ in range(3):
        house.ask(0)
    house.exchange(0, late=1)
    house.exchange(1, late=1)
    first = house.webs[0]
    assert [order["pools"][POOL]["permits"] for order in first.inbox] == [2, 4]
    first.give_up()
    first.finish(0)
    first.finish(0)
    house.exchange(0, late=1)
    first.read(2)
    for place in (0, 1) * 4:
        house.ask(place)
    assert house.running() == 4


def test_an_order_for_requests_that_are_gone_is_void() -> None:
    house = House(capacity=2, processes=1).warm()
    house.ask(0)
    [(_, order)] = house.board.hear(house.webs[0].report(house.now), house.now)
    order["pools"][POOL].update({"granted": [7], "refused": [(8, 1.0)]})
    assert list(house.webs[0].desk.apply(order)) == []
    assert house.webs[0].desk.pools[POOL].slots.total == 1


def test_a_process_that_leaves_frees_its_slots_at_once() -> None:
    house = House(capacity=4, processes=2).warm()
    house.ask(0)
    house.settle(0.25)
    assert house.board.hear({**house.webs[0].report(house.now), "leaving": True}, house.now) == []
    for _ in range(5):
        house.ask(1)
    for _ in range(2):
        house.exchange(1)
    assert len(house.webs[1].lanes_running) == 4


CLAIMS = st.builds(
    lambda running, more, granted, waits: Claim(running + more, running, granted, waits),
    st.integers(0, 5), st.integers(0, 5), st.integers(0, 2), st.booleans(),
)  # fmt: skip


@given(st.integers(1, 30), st.dictionaries(st.sampled_from("abcdef"), CLAIMS, min_size=1))
def test_told_permits_never_exceed_the_slots_however_late_they_are_obeyed(slots: int, claims: dict[str, Claim]) -> None:
    told = divide(slots, claims)
    before = sum(claim.held + claim.granted for claim in claims.values())
    after = sum(max(claim.held, told[name]) + claim.granted for name, claim in claims.items())
    assert after <= max(slots, before)
    assert min(told.values()) >= 0


@given(st.integers(1, 100), st.integers(0, 100))
def test_own_shares_fit_the_pool(capacity: int, processes: int) -> None:
    assert own_share(capacity, processes) >= 1
    assert own_share(capacity, processes) * max(1, processes) <= max(capacity, processes)
