import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relay_project.embedded import ports, postgres, state, valkey
from relay_project.embedded.processes import StartError
from relay_project.embedded.stack import relay_stack, wanted_ports
from relay_project.embedded.throwaway import isolate

HOLD = (
    "import os, sys; from relay_project.embedded import state; d = state.open_state_dir();"
    "state.lock(d, state.Running(os.getpid(), 'http://here/')); state.publish(d, {'PORT': '1234'});"
    "print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RELAY_STATE_DIR", str(tmp_path / "with a space"))
    return state.open_state_dir()


def test_nothing_is_discovered_where_nothing_runs(directory: Path) -> None:
    assert state.discover() == {}
    state.publish(directory, {"PORT": "1"})  # left behind by one that was killed
    assert state.discover() == {}


def test_what_a_living_supervisor_published_is_found_until_it_is_killed(directory: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert state.discover() == {"PORT": "1234"}
        assert state.running(directory) == state.Running(holder.pid, "http://here/")
        assert state.lock(directory, state.Running(os.getpid(), "http://there/")) is None
        holder.kill()
        holder.communicate()
    assert state.discover() == {}


def test_secrets_are_kept_and_private(directory: Path) -> None:
    first = state.load_secrets(directory)
    assert first == state.load_secrets(directory)
    assert set(first) == set(state.SECRETS)
    assert len(set(first.values())) == len(first)
    state.publish(directory, first)
    for name in ("secrets.json", "env.json"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600


def test_a_directory_that_cannot_be_made_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "file").touch()
    monkeypatch.setenv("RELAY_STATE_DIR", str(directory / "file" / "below"))
    with pytest.raises(state.StateError, match="Set RELAY_STATE_DIR"):
        state.open_state_dir()


def test_without_a_choice_the_place_depends_on_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELAY_STATE_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state.state_dir().parent == Path("/var/tmp")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert state.state_dir() == state.CHECKOUT / ".relay"


def test_a_directory_of_someone_else_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    someone_else = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: someone_else)
    with pytest.raises(state.StateError, match="belongs to another user"):
        state.open_state_dir()


def test_a_port_in_use_is_told_with_its_variable() -> None:
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(ports.PortError, match=rf"Port {port} is in use\. .*RELAY_PG_PORT=\d+ make dev"):
            ports.require_free({"RELAY_PG_PORT": port, "PORT": ports.free_port()}, patience=0.15)
    ports.require_free({"RELAY_PG_PORT": port})


@pytest.mark.parametrize("text", ["0", "65536", "-1", "80 80", "x", "³"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(ports.PortError, match="PORT="):
        ports.choose({"PORT": text})


@pytest.mark.parametrize("ready", [postgres.ready, valkey.ready])
def test_an_address_that_cannot_be_one_is_a_sentence(ready: Callable[[str], bool]) -> None:
    with pytest.raises(StartError, match="_URL must look like"):
        ready("hunter2")


def test_ports_must_differ() -> None:
    assert ports.choose({}) == ports.DEFAULTS
    with pytest.raises(ports.PortError, match="chosen twice"):
        ports.choose({"PORT": "63790"})


def test_the_stack_leaves_out_the_servers_that_the_environment_names(directory: Path) -> None:
    environ = {"DATABASE_URL": "postgres://db/relay", "REDIS_URL": "", "OLLAMA_HOST": "http://ollama"}
    chosen = ports.choose(environ, wanted_ports(environ))
    assert set(chosen) == {"PORT", "RELAY_REDIS_PORT", "RELAY_LLM_PORT"}
    stack = relay_stack(directory, chosen, state.load_secrets(directory), environ)
    assert stack.environment["DATABASE_URL"] == "postgres://db/relay"
    assert stack.environment["REDIS_URL"].startswith("redis://:")
    assert stack.environment["OLLAMA_HOST"] == "http://ollama"
    assert [program.name for program in stack.programs] == ["web", "lanes", "traces", "celery", "evals"]
    assert [task.program.name for task in stack.tasks] == ["migrate", "seed"]
    counting = [program.name for program in stack.programs if "PROMETHEUS_MULTIPROC_DIR" in program.env]
    assert counting == ["web"], "figures of others would stand in /metrics for good"


def test_tests_do_not_see_another_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in list(os.environ.items()):
        monkeypatch.setenv(name, value)  # so that all of it is given back
    for name in ("RELAY_DEV_OPEN_TENANT", "OLLAMA_HOST", "PORT"):
        monkeypatch.setenv(name, "leaked")
    isolate()
    assert "leaked" not in os.environ.values()
    assert "RELAY_STATE_DIR" in os.environ
