import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.core.apikeys import ALPHABET, PREFIX, digest_of, key_id_of, make_key, matches

RANDOMNESS = st.binary(min_size=44, max_size=80)


@given(RANDOMNESS)
def test_a_new_key_is_recognised_and_gives_away_only_its_id(randomness: bytes) -> None:
    key = make_key(randomness)
    assert key.text.startswith(f"{PREFIX}{key.key_id}_")
    assert key_id_of(key.text) == key.key_id
    assert key.text not in repr(key.key_id)


def test_too_little_randomness_makes_no_key() -> None:
    with pytest.raises(ValueError, match="44 random bytes"):
        make_key(b"x" * 43)


@given(RANDOMNESS, st.integers(min_value=len(PREFIX), max_value=59), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed_without_a_lookup(randomness: bytes, place: int, other: str) -> None:
    text = make_key(randomness).text
    mistyped = text[:place] + other + text[place + 1 :]
    assert (key_id_of(mistyped) is None) == (mistyped != text)


@given(RANDOMNESS, st.integers(min_value=0, max_value=59))
def test_a_truncated_key_is_no_key(randomness: bytes, length: int) -> None:
    assert key_id_of(make_key(randomness).text[:length]) is None


@given(st.text())
def test_any_other_text_is_no_key(text: str) -> None:
    assert key_id_of(text) is None
    assert key_id_of(PREFIX + text) is None


@given(RANDOMNESS, RANDOMNESS)
def test_a_digest_fits_its_own_key_and_pepper_only(one: bytes, other: bytes) -> None:
    mine, theirs = make_key(one).text, make_key(other).text
    digest = digest_of(mine, "pepper")
    assert len(digest) == 64
    assert matches(mine, "pepper", digest)
    assert not matches(mine, "salt", digest)
    assert matches(theirs, "pepper", digest) == (mine == theirs)
