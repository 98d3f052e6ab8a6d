"""Child processes that never outlive the process that started them."""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.02
LIBC = ctypes.CDLL(None)  # loaded here: little is safe between fork and exec


class StartError(Exception):
    """A program did not start; the message carries what it said."""


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)  # added to the parent's
    cwd: Path | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM  # asks for a clean end; also sent when the parent dies
    log: Path | None = None  # where it writes instead of its output


def spawn(program: Program, stdout: int | None = None) -> subprocess.Popen[bytes]:
    """Start it in its own session: a Ctrl-C in the terminal reaches the supervisor only, which then stops all in order.

    Call from the main thread: Linux ties the death signal to the thread that starts the child.
    """
    return subprocess.Popen(
        program.argv,
        env={**os.environ, **program.env},
        cwd=program.cwd,
        user=program.user,
        group=None if program.user is None else _group_of(program.user),
        extra_groups=None if program.user is None else [],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=None if stdout is None else subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_death_signal(program.stop_signal),
    )


def die_with_parent(number: signal.Signals) -> None:
    """Ask the kernel (Linux only) for a signal to this process when its parent ends, however it ends."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Reach what the child itself started, too."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def stop(program: Program, process: subprocess.Popen[bytes], seconds: float) -> None:
    if process.poll() is None:
        process.send_signal(program.stop_signal)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            signal_group(process, signal.SIGKILL)
            process.wait()


def run(program: Program) -> None:
    """Run a short program to its end; its output is shown only if it fails."""
    process = spawn(program, stdout=subprocess.PIPE)
    output, _ = process.communicate()
    if process.returncode != 0:
        raise StartError(f"{program.name} failed:\n{output.decode(errors='replace').strip()}")


def wait_until(ready: Callable[[], bool], program: Program, process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise StartError(
                f"{program.name} ended (exit code {process.returncode}) instead of starting.{_log_of(program)}"
            )
        if time.monotonic() > deadline:
            raise StartError(f"{program.name} was not ready within {seconds:.0f} s.{_log_of(program)}")
        time.sleep(POLL_SECONDS)


def _log_of(program: Program) -> str:
    return f" It wrote:\n{program.log.read_text()}" if program.log and program.log.exists() else ""


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def _death_signal(number: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def ask() -> None:
        signal.signal(number, signal.SIG_DFL)  # a script's background jobs are born ignoring SIGINT
        die_with_parent(number)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask
