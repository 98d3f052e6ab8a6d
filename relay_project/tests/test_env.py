"""What is read from the environment: a bad value stops the start by its name, and a secret is never shown."""

import secrets

import pytest
from django.core.exceptions import ImproperlyConfigured

from relay_project.env import database, percentages, real, redis_url, sampler, sealing_keys, smtp
from traces.core.trace_context import Sampler


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
    ("told", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({"OTEL_TRACES_SAMPLER": "sometimes"}, "OTEL_TRACES_SAMPLER"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG"),
    ],
)
def test_a_setting_that_cannot_work_stops_the_start(
    told: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"} | told).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=said):
        sampler()


def test_without_an_address_nothing_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert sampler() is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector/v1/traces")
    assert sampler() == Sampler(by_parent=True, share=1.0)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert sampler() is None


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


@pytest.mark.parametrize(
    "address", ["hunter2", "postgres://u:hunter2/3@db/relay", "redis://:hunter2/3@cache", "x://hunter2"]
)
def test_an_address_that_cannot_be_one_is_not_shown(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE", address)
    for read in (lambda: database(address, "engine"), lambda: redis_url("CACHE", "")):
        with pytest.raises(ImproperlyConfigured, match="must look like") as refused:
            read()
        assert "hunter2" not in f"{refused.value} {refused.value.__cause__}"


def test_an_address_of_redis_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("redis://127.0.0.1:63790/0", "rediss://u:p@cache/1", "unix:///run/valkey.sock?db=1"):
        monkeypatch.setenv("CACHE", address)
        assert redis_url("CACHE", "") == address
