"""Keys for sealing are read from the environment; a bad one stops the start without being shown."""

import secrets

import pytest
from django.core.exceptions import ImproperlyConfigured

from relay_project.env import sealing_keys


def test_the_first_key_stays_first(monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    monkeypatch.setenv("KEYS", f"k2:{new}, k1:{old}")
    assert list(sealing_keys("KEYS")) == ["k2", "k1"]
    assert {len(key) for key in sealing_keys("KEYS").values()} == {32}


def test_none_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEYS", raising=False)
    assert sealing_keys("KEYS") == {}


@pytest.mark.parametrize(
    "text", ["onlyakeywithoutid", "k1:short", "k1:é" + "x" * 42, ":" + "x" * 43, "k.1:" + "x" * 43, "k1:" + "x" * 64]
)
def test_a_bad_key_is_refused_and_not_shown(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", text)
    with pytest.raises(ImproperlyConfigured) as refused:
        sealing_keys("KEYS")
    assert "KEYS: entry 1" in str(refused.value)
    assert text.partition(":")[2] == "" or text.partition(":")[2] not in str(refused.value)


def test_an_id_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", f"k1:{'x' * 43},k1:{'y' * 43}")
    with pytest.raises(ImproperlyConfigured, match="entry 2"):
        sealing_keys("KEYS")
