from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from traces.core.ids import uuid7

instants = st.floats(min_value=0, max_value=2**48 / 1000 - 1)
chances = st.binary(min_size=10, max_size=16)


@given(instants, chances)
def test_an_id_is_a_uuid_of_version_7_that_tells_its_time(now: float, chance: bytes) -> None:
    text = uuid7(now, chance)
    assert str(UUID(text)) == text
    assert UUID(text).version == 7
    assert UUID(text).variant == "specified in RFC 4122"
    assert UUID(text).int >> 80 == int(now * 1000)


@given(instants, instants, chances, chances)
def test_ids_sort_by_time(one: float, other: float, chance: bytes, another: bytes) -> None:
    if int(one * 1000) < int(other * 1000):
        assert uuid7(one, chance) < uuid7(other, another)


def test_the_example_of_the_standard() -> None:
    """RFC 9562, A.6: rand_a is CC3, rand_b is 18C4DC0C0C07398F."""
    chance = ((0xCC3 << 64) | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert uuid7(1645557742.0001, chance) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
