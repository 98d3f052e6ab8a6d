"""The supervisor with cheap children."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from relay_project.embedded.console import Console
from relay_project.embedded.processes import Program, StartError
from relay_project.embedded.supervisor import LONGEST_PAUSE, Stopped, Supervisor, pause_before_restart

FOREVER = Program("forever", ("sleep", "1000"))
STUBBORN = Program("stubborn", ("sh", "-c", "trap '' TERM; echo set; while :; do sleep 0.05; done"))


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor(Console(io.StringIO()), pause=lambda failures: 0.01 * failures)
    yield supervisor
    supervisor.stop([(list(supervisor.children), 0.0)])
    supervisor.close()


def said(supervisor: Supervisor) -> str:
    assert isinstance(supervisor.console.stream, io.StringIO)
    return supervisor.console.stream.getvalue()


def turn_until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    supervisor.wait_until(condition, "The test", 10.0, lambda: None)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_a_program_prints_carries_its_name(supervisor: Supervisor) -> None:
    supervisor.start(Program("talker", ("sh", "-c", "echo one; printf two; sleep 1000")))
    turn_until(supervisor, lambda: "one" in said(supervisor))
    assert "talker   │ one\n" in said(supervisor)


def test_a_program_that_ends_is_started_again_after_ever_longer_pauses(supervisor: Supervisor) -> None:
    supervisor.start(Program("frail", ("sh", "-c", "echo last words; exit 3")))
    turn_until(supervisor, lambda: said(supervisor).count("starts again") >= 3)
    lines = [line for line in said(supervisor).splitlines() if "starts again" in line]
    assert lines[0] == "✗ frail ended (exit code 3); it starts again in 0.0 s"
    assert said(supervisor).count("last words") >= 2
    assert [pause_before_restart(failures) for failures in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert pause_before_restart(1000) == LONGEST_PAUSE


def test_a_killed_program_comes_back(supervisor: Supervisor) -> None:
    supervisor.start(FOREVER)
    first = supervisor.children["forever"].process
    first.kill()
    turn_until(supervisor, lambda: supervisor.children["forever"].process is not first)
    assert "forever ended (SIGKILL)" in said(supervisor)
    assert supervisor.children["forever"].process.poll() is None


def test_a_task_that_fails_shows_what_it_said(supervisor: Supervisor) -> None:
    ticks: list[int] = []
    supervisor.run(Program("fine", ("sh", "-c", "echo not shown; sleep 0.2")), lambda: ticks.append(1))
    assert ticks
    assert said(supervisor) == ""
    with pytest.raises(StartError, match="broken failed:\nthe reason"):
        supervisor.run(Program("broken", ("sh", "-c", "echo the reason; exit 1")), lambda: None)


def test_waiting_ends_at_the_deadline(supervisor: Supervisor) -> None:
    with pytest.raises(StartError, match="It was not ready within 0 s"):
        supervisor.wait_until(lambda: False, "It", 0.0, lambda: None)


def test_stop_goes_in_order_and_kills_what_does_not_end(supervisor: Supervisor) -> None:
    supervisor.start(FOREVER)
    supervisor.start(STUBBORN)
    turn_until(supervisor, lambda: "set" in said(supervisor))
    begun = time.monotonic()
    supervisor.stop([(("stubborn",), 0.3), (("forever", "never started"), 5.0)])
    assert time.monotonic() - begun < 3
    assert "stubborn did not end in time and was killed." in said(supervisor)
    assert [child.process.returncode for child in supervisor.children.values()] == [-signal.SIGTERM, -signal.SIGKILL]
    assert "starts again" not in said(supervisor)


def test_a_signal_ends_the_loop(supervisor: Supervisor) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    supervisor.listen_for_signals()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            supervisor.run_until_stopped()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("shell", ["", "trap '' INT; "], ids=["terminal", "background job"])
def test_killing_the_supervisor_leaves_no_orphan(shell: str) -> None:
    script = (
        "from relay_project.tests.test_supervisor import *\n"
        "s = Supervisor(Console())\n"
        "s.start(FOREVER)\n"
        "s.start(Program('other', ('sleep', '1000'), stop_signal=signal.SIGINT))\n"
        "print(*(c.process.pid for c in s.children.values()), flush=True)\n"
        "s.run_until_stopped()\n"
    )
    command = ["sh", "-c", f'{shell}exec "$@"', "sh", sys.executable, "-c", script]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    assert all(is_alive(pid) for pid in pids)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 5
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)
