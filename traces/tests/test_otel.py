"""A collector that is away, slow or overrun costs spans, and nothing else."""

import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from conftest import eventually
from relay_project.embedded.ports import free_port
from traces import otel
from traces.otel import OtelExport
from traces.recorder import append_command, dump
from traces.tests.records import record_of
from traces.tests.redis_db import redis_url
from traces.writer import TraceWriter


@pytest.fixture(autouse=True)
def silent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "relay.traces.otel")


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there, and the exporter soon gives a batch up."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=planted-secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")


@pytest.fixture
def client() -> Iterator[Any]:
    with redis.Redis.from_url(redis_url(9)) as client:
        client.flushdb()
        yield client


def test_a_collector_that_is_away_does_not_stop_the_writer(
    away: None, client: Any, tenant_a: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(OtelExport(content=False)) as export:
        for number in range(1, 4):
            client.execute_command(*append_command(dump(record_of(tenant_a, sampled=True))))
            writer = TraceWriter(client, "otel", export.take)
            writer.run(once=True)
            assert writer.counts.stored == 1
            eventually(lambda number=number: export.lost == number)  # type: ignore[misc]
        assert (export.sent, export.lost) == (0, 3)
    said = [line for line in caplog.records if line.name == "relay.traces.otel"]
    assert [(vars(line)["lost"], vars(line)["lost_in_all"]) for line in said] == [(1, 1), (2, 3)]  # the last at the end
    assert "planted-secret" not in caplog.text


def test_a_collector_that_hangs_fills_a_bounded_queue(monkeypatch: pytest.MonkeyPatch, tenant_a: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # connections are taken, nothing is ever answered
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
        record = record_of(tenant_a, sampled=True)
        export = OtelExport(content=False)
        export.take([record] * (otel.MOST_WAITING + 2 * otel.TOGETHER))
        assert export.lost >= otel.TOGETHER and export.sent == 0  # one batch is on its way
        export.close(within_s=0.1)


def test_what_is_not_sampled_or_not_readable_is_no_trouble(away: None, tenant_a: Any) -> None:
    with closing(OtelExport(content=False)) as export:
        export.take([record_of(tenant_a), {}, {"sampled": False}])
        assert export.lost == 0
        export.take([{"sampled": True}, record_of(tenant_a, sampled=True) | {"spans_json": [7]}])
        assert export.lost == 2
