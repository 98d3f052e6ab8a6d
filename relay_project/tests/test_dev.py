"""`make dev` seen from outside: start, find, stop, die, start again."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from relay_project.embedded import state
from relay_project.embedded.ports import free_port, is_free
from relay_project.embedded.throwaway import temporary_root

PORTS = ("PORT", "RELAY_PG_PORT", "RELAY_REDIS_PORT")


class Dev:
    """One checkout's state directory and the `make dev` processes started with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = {variable: free_port() for variable in PORTS}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, **environ: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        ours = {name: str(port) for name, port in self.ports.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "relay_project.tests.fake_stack"],
            env=kept | ours | {"RELAY_STATE_DIR": str(self.directory), "RELAY_EMBEDDED_LLM": "0"} | environ,
            cwd=state.CHECKOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def ready(self, **environ: str) -> tuple[subprocess.Popen[str], str]:
        process = self.start(**environ)
        return process, read_until(process, "Try it:")

    def free(self) -> bool:
        return all(is_free(port) for port in self.ports.values())


@pytest.fixture
def dev(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dev]:
    with tempfile.TemporaryDirectory(prefix="relay dev ", dir=temporary_root()) as name:
        directory = Path(name) / "a state"
        monkeypatch.setenv("RELAY_STATE_DIR", str(directory))
        Path(name).chmod(0o711)  # PostgreSQL may run as another user
        dev = Dev(directory)
        yield dev
        for process in dev.started:
            process.kill()
            process.communicate()
        wait_for(dev.free)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def end(process: subprocess.Popen[str], number: signal.Signals) -> str:
    process.send_signal(number)
    output, _ = process.communicate(timeout=15)
    return output


def test_it_starts_tells_where_stops_in_time_and_finds_its_data_again(dev: Dev) -> None:
    process, output = dev.ready()
    assert "✓ Database migrated" in output
    assert f"http://127.0.0.1:{dev.ports['PORT']}/admin/" in output
    found = state.discover()
    assert found["RELAY_ADMIN_PASSWORD"] in output
    assert found["PORT"] == str(dev.ports["PORT"])
    assert found["RELAY_DEV_OPEN_TENANT"] == "default"
    with psycopg.connect(found["DATABASE_URL"]) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE TABLE kept AS SELECT '[1,2]'::vector AS v")

    begun = time.monotonic()
    assert "Relay stopped" in end(process, signal.SIGINT)
    assert process.returncode == 0
    assert time.monotonic() - begun < 10
    assert dev.free()
    assert state.discover() == {}

    counted = dev.directory / "metrics" / "counter_1.db"
    counted.parent.mkdir()
    counted.touch()
    process, _ = dev.ready()
    assert not counted.exists(), "what processes of the last start counted is over"
    with psycopg.connect(state.discover()["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT v::text FROM kept").fetchone() == ("[1,2]",)
    end(process, signal.SIGTERM)


def test_killed_it_leaves_no_orphan_and_starts_again_at_once(dev: Dev) -> None:
    process, _ = dev.ready()
    process.kill()
    process.wait()
    assert state.discover() == {}
    process, _ = dev.ready()  # waits for the old servers, which are just ending
    process.kill()
    wait_for(dev.free)


def test_a_second_one_says_who_already_runs(dev: Dev) -> None:
    first, _ = dev.ready()
    second = dev.start()
    output, _ = second.communicate(timeout=15)
    assert second.returncode == 2
    assert f"process {first.pid}" in output
    assert state.discover()  # the first is unharmed
    end(first, signal.SIGINT)


def test_a_taken_port_is_named_with_the_variable_to_change(dev: Dev) -> None:
    dev.ports["RELAY_PG_PORT"] = dev.ports["PORT"]
    output, _ = dev.start().communicate(timeout=15)
    assert "RELAY_PG_PORT" in output
    assert dev.started[-1].returncode == 2


def test_servers_named_in_the_environment_are_used(dev: Dev) -> None:
    given = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}
    process, output = dev.ready(**given)
    assert "PostgreSQL of DATABASE_URL answers" in output
    assert state.discover()["REDIS_URL"] == given["REDIS_URL"]
    assert is_free(dev.ports["RELAY_PG_PORT"])
    end(process, signal.SIGINT)


def test_a_chosen_admin_password_is_not_printed(dev: Dev) -> None:
    process, output = dev.ready(RELAY_ADMIN_PASSWORD="kept-to-myself")
    output += end(process, signal.SIGINT)
    assert "kept-to-myself" not in output
    assert "the password in RELAY_ADMIN_PASSWORD" in output
