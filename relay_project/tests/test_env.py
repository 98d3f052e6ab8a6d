"""What is read from the environment: a bad value stops the start, and a key is not shown."""

import secrets

import pytest
from django.core.exceptions import ImproperlyConfigured

from relay_project.env import percentages, real, sealing_keys


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


def test_stages_are_percentages_that_rise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert percentages("STAGES", "1,5,25") == [1, 5, 25]
    monkeypatch.setenv("STAGES", " 10, 100")
    assert percentages("STAGES", "1") == [10, 100]
    for wrong in ("5,1", "5,5", "0,5", "5,101", "x", "-1", "1.5"):
        monkeypatch.setenv("STAGES", wrong)
        with pytest.raises(ImproperlyConfigured, match="STAGES must be whole percentages that rise"):
            percentages("STAGES", "1,5,25")


def test_a_real_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert real("FACTOR", 2.5) == 2.5
    monkeypatch.setenv("FACTOR", "much")
    with pytest.raises(ImproperlyConfigured, match="FACTOR must be a number"):
        real("FACTOR", 1.0)
