"""Keys for sealing and the mail server are read from the environment; a bad one stops the start without being shown."""

import secrets

import pytest
from django.core.exceptions import ImproperlyConfigured

from relay_project.env import sealing_keys, smtp


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ("", 25, "", "", False, False)),
        ("smtp://me:p%40ss@mail.example.com", ("mail.example.com", 587, "me", "p@ss", True, False)),
        ("smtps://mail.example.com", ("mail.example.com", 465, "", "", False, True)),
        ("smtp+plain://localhost:1025", ("localhost", 1025, "", "", False, False)),
    ],
)
def test_a_mail_server(monkeypatch: pytest.MonkeyPatch, value: str, expected: tuple[object, ...]) -> None:
    monkeypatch.setenv("RELAY_SMTP_URL", value)
    assert smtp("RELAY_SMTP_URL") == expected


@pytest.mark.parametrize(
    "value", ["mail.example.com:587", "http://me:hunter2@mail", "smtp://me:hunter2@mail:x", "smtp://"]
)
def test_a_bad_mail_server_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RELAY_SMTP_URL", value)
    with pytest.raises(ImproperlyConfigured, match="RELAY_SMTP_URL") as refused:
        smtp("RELAY_SMTP_URL")
    assert "hunter2" not in str(refused.value)
