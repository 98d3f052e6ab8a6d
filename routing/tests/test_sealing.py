"""Sealed credentials: only the right key, row and purpose open them, and keys can be rotated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.sealing import CannotOpen, CannotSeal, key_of, rewrap, seal, unseal

OLD, NEW = {"old": b"o" * 32}, {"new": b"n" * 32}


@given(st.text(), st.text())
def test_what_was_sealed_opens_again_and_never_looks_the_same(secret: str, context: str) -> None:
    first, second = seal(OLD, secret, context), seal(OLD, secret, context)
    assert unseal(OLD, first, context) == unseal(OLD, second, context) == secret
    assert first != second
    assert len(secret) < 4 or secret not in first


@given(st.data())
def test_a_changed_character_is_noticed(data: st.DataObject) -> None:
    sealed = seal(OLD, "sk-secret", "row")
    at = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda char: char != sealed[at]))
    changed = sealed[:at] + other + sealed[at + 1 :]
    try:
        assert unseal(OLD, changed, "row") == "sk-secret"  # the unused bits of base64's last character
    except CannotOpen as error:
        assert "sk-secret" not in str(error)


@pytest.mark.parametrize(
    "text", ["", "v1", "v1.old.x", "v1.old.a.b", "v1.old..", "v2.old.AAAA.AAAA", "v1.gone.AAAA.AAAA"]
)
def test_another_text_does_not_open(text: str) -> None:
    with pytest.raises(CannotOpen):
        unseal(OLD, text, "row")


def test_a_sealed_text_that_was_moved_to_another_row_does_not_open() -> None:
    sealed = seal(OLD, "sk-secret", "provider-credential/openai/acme")
    with pytest.raises(CannotOpen):
        unseal(OLD, sealed, "provider-credential/openai/globex")


def test_the_same_key_under_another_name_does_not_open() -> None:
    sealed = seal(OLD, "sk-secret", "row").replace("v1.old.", "v1.other.")
    with pytest.raises(CannotOpen):
        unseal({"other": OLD["old"]}, sealed, "row")


def test_a_key_is_rotated_by_wrapping_anew() -> None:
    sealed = seal(OLD, "sk-secret", "row")
    rotated = rewrap(NEW | OLD, sealed, "row")
    assert (key_of(sealed), key_of(rotated)) == ("old", "new")
    assert unseal(NEW, rotated, "row") == "sk-secret"
    assert rotated.split(".")[3] == sealed.split(".")[3]
    with pytest.raises(CannotOpen):
        rewrap(NEW, sealed, "row")


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(CannotSeal):
        seal({}, "sk-secret", "row")
