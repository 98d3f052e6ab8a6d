"""Keeps a set of programs alive and relays what they print. One thread, one loop: `turn()`.

A program that ends is started again after a pause that doubles with each failure in a row. When the supervisor itself
ends, however it ends, the kernel stops the programs (processes.spawn).
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from relay_project.embedded.console import Console
from relay_project.embedded.processes import Program, StartError, signal_group, spawn

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
STEADY_SECONDS = 30.0  # a program that ran this long starts anew with the first pause
TURN_SECONDS = 0.1
KEPT_LINES = 40  # of a short program's output, shown if it fails
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Someone asked us to end."""


def pause_before_restart(failures: int) -> float:
    """Seconds to wait after so many failures in a row (1 = the first)."""
    return float(min(FIRST_PAUSE * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE))


@dataclass(slots=True)
class Child:
    program: Program
    process: subprocess.Popen[bytes]
    started: float
    failures: int = 0
    restart_at: float | None = None  # ended and waiting; else it runs
    rest: bytes = b""  # the beginning of a line whose end has not come yet


@dataclass(slots=True)
class Supervisor:
    console: Console
    children: dict[str, Child] = field(default_factory=dict)
    pause: Callable[[int], float] = pause_before_restart
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _signals: tuple[int, ...] = ()  # the pipe by which a signal ends a wait
    _asked: int = 0
    _stopping: bool = False

    def listen_for_signals(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._signals = (reader, writer)
        self._selector.register(reader, selectors.EVENT_READ, None)
        for number in STOP_SIGNALS:
            signal.signal(number, self._ask)

    def start(self, program: Program) -> None:
        self.children[program.name] = Child(program, self._spawn(program), time.monotonic())

    def turn(self, seconds: float = TURN_SECONDS) -> None:
        """Relay what there is to read, restart what is due. Raises Stopped once when asked to end."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                _drain(key.fd)
            else:
                self._relay(key.fd, key.data)
        if self._asked and not self._stopping:
            raise Stopped
        if not self._stopping:
            for child in self.children.values():
                self._look_after(child)

    def wait_until(self, ready: Callable[[], bool], name: str, seconds: float, tick: Callable[[], None]) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise StartError(f"{name} was not ready within {seconds:.0f} s.")
            tick()
            self.turn()

    def run(self, program: Program, tick: Callable[[], None]) -> None:
        """Run a short program to its end while the others are looked after. What it prints is shown if it fails."""
        process = spawn(program, stdout=subprocess.PIPE)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        output = b""
        try:
            while process.poll() is None:
                output += process.stdout.read() or b""
                tick()
                self.turn()
        finally:
            signal_group(process, signal.SIGKILL)
            process.wait()
        output += process.stdout.read() or b""
        process.stdout.close()
        if process.returncode != 0:
            lines = output.decode(errors="replace").splitlines()
            raise StartError("\n".join((f"{program.name} failed:", *lines[-KEPT_LINES:])))

    def run_until_stopped(self) -> None:
        while True:
            self.turn()

    def stop(self, phases: Sequence[tuple[Sequence[str], float]]) -> None:
        """End the programs phase by phase (names, seconds); a second Ctrl-C or a phase's end of time kills."""
        self._stopping = True
        asked = self._asked
        for names, seconds in phases:
            alive = [self.children[name] for name in names if name in self.children]
            for child in alive:
                if child.process.poll() is None:
                    child.process.send_signal(child.program.stop_signal)
            deadline = time.monotonic() + seconds
            while any(child.process.poll() is None for child in alive):
                if time.monotonic() > deadline or self._asked > asked:
                    break
                self.turn(0.05)
            for child in alive:
                if child.process.poll() is None:
                    self.console.line(f"{child.program.name} did not end in time and was killed.")
                signal_group(child.process, signal.SIGKILL)  # also what it left behind
                child.process.wait()
        self.turn(0)
        for child in self.children.values():
            self._close(child)

    def close(self) -> None:
        """Once stopped, let go of the signals and files."""
        if self._signals:
            signal.set_wakeup_fd(-1)
        for handle in self._signals:
            os.close(handle)
        self._signals = ()
        self._selector.close()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        process = spawn(program, stdout=subprocess.PIPE)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, program.name)
        return process

    def _relay(self, handle: int, name: str) -> None:
        child = self.children[name]
        data = _drain(handle)
        *lines, child.rest = (child.rest + data).split(b"\n")
        if not data:
            self._close(child)
            lines, child.rest = [child.rest], b""
        for line in lines:
            if line.strip():
                self.console.log(name, line.decode(errors="replace").rstrip())

    def _close(self, child: Child) -> None:
        if child.process.stdout is not None and not child.process.stdout.closed:
            self._selector.unregister(child.process.stdout)
            child.process.stdout.close()

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.restart_at is None:
            if child.process.poll() is not None:
                self._plan_restart(child, now)
        elif now >= child.restart_at:
            self._close(child)
            child.process, child.started, child.restart_at, child.rest = self._spawn(child.program), now, None, b""

    def _plan_restart(self, child: Child, now: float) -> None:
        signal_group(child.process, signal.SIGKILL)  # what it left behind would keep its port or its work
        child.failures = 1 if now - child.started > STEADY_SECONDS else child.failures + 1
        pause = self.pause(child.failures)
        child.restart_at = now + pause
        ended = _describe(child.process.returncode)
        where = f", see {child.program.log}" if child.program.log else ""
        self.console.fail(f"{child.program.name} ended ({ended}{where}); it starts again in {pause:.1f} s")


def _drain(handle: int) -> bytes:
    try:
        return os.read(handle, 65536)
    except BlockingIOError:
        return b""


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
