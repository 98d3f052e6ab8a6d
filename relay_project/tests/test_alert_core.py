import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from relay_project.alerts.core.conditions import QUIET_S, TRIES, Changes, Condition, Found, Open, compare, wait_s
from relay_project.alerts.core.signing import signature

KEYS = st.sampled_from("abcd")
NOW = 1_000_000.0


def condition(key: str, kind: str = "quota") -> Condition:
    return Condition(key, kind, None, f"{key} is wrong", "")


def test_an_alert_begins_once_goes_on_and_ends_when_it_was_quiet_for_a_while() -> None:
    found = Found((condition("a"),))
    assert compare({}, found, NOW) == Changes((condition("a"),), (), ())
    known = {"a": Open("quota", NOW)}
    assert compare(known, found, NOW + 60) == Changes((), ("a",), ())
    assert compare(known, Found(()), NOW + QUIET_S - 1) == Changes((), (), ())
    assert compare(known, Found(()), NOW + QUIET_S) == Changes((), (), ("a",))


def test_what_is_not_known_is_not_over() -> None:
    known = {"a": Open("quota", NOW)}
    assert compare(known, Found((), frozenset(["quota"])), NOW + 9999).over == ()


@given(st.sets(KEYS), st.sets(KEYS), st.floats(0, 1000))
def test_every_alert_is_exactly_one_of_begun_seen_over_or_waiting(
    known: set[str], met: set[str], passed: float
) -> None:
    changes = compare(
        {key: Open("quota", NOW) for key in known}, Found(tuple(map(condition, sorted(met)))), NOW + passed
    )
    begun = {one.key for one in changes.begun}
    assert begun == met - known and set(changes.seen) == met & known
    assert set(changes.over) == (known - met if passed >= QUIET_S else set())


def test_the_waits_double_up_to_an_hour_and_end() -> None:
    waits = [wait_s(tries) for tries in range(1, TRIES)]
    assert waits[:3] == [60.0, 120.0, 240.0] and max(filter(None, waits)) == 3600.0
    assert wait_s(TRIES) is None


@given(st.text(min_size=1), st.binary(), st.integers(0, 2**40))
def test_a_receiver_can_check_a_message(secret: str, body: bytes, at: int) -> None:
    parts = dict(part.split("=") for part in signature(secret, body, at).split(","))
    expected = hmac.new(secret.encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert parts["v1"] == expected
