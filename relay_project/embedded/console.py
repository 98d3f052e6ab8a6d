"""What the person at the terminal sees: a line per step, progress while it lasts, logs with a prefix."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)  # a program keeps its colour
GREEN, RED, DIM, BOLD = 32, 31, 2, 1
PATIENCE = 2.0  # a step longer than this shows that it is alive
LINE_EVERY = 5.0  # without a terminal


@dataclass(slots=True)
class Console:
    stream: TextIO = field(default_factory=lambda: sys.stdout)
    names: list[str] = field(default_factory=list)
    _spinning: bool = False

    @property
    def is_terminal(self) -> bool:
        return self.stream.isatty()

    def paint(self, text: str, colour: int) -> str:
        if not self.is_terminal or os.environ.get("NO_COLOR"):
            return text
        return f"\x1b[{colour}m{text}\x1b[0m"

    def line(self, text: str = "") -> None:
        if self._spinning:
            self.stream.write("\r\x1b[K")
            self._spinning = False
        try:
            self.stream.write(text + "\n")
            self.stream.flush()
        except BrokenPipeError:  # nobody reads us any more: the servers go on
            self.stream = open(os.devnull, "w")  # noqa: SIM115

    def log(self, name: str, text: str, width: int = 8) -> None:
        if name not in self.names:
            self.names.append(name)
        colour = COLOURS[self.names.index(name) % len(COLOURS)]
        self.line(f"{self.paint(f'{name:<{width}} │', colour)} {text}")

    def fail(self, text: str) -> None:
        self.line(f"{self.paint('✗', RED)} {text}")

    @contextmanager
    def step(self, doing: str, done: str) -> Iterator["Step"]:
        """`doing` shows while a long step lasts; `✓ done (1.2 s)` when the block ends well."""
        step = Step(self, doing)
        try:
            yield step
        except BaseException:
            if self._spinning:
                self.line(f"{self.paint('✗', RED)} {doing} …")
            raise
        self.line(f"{self.paint('✓', GREEN)} {done} {self.paint(f'({step.elapsed:.1f} s)', DIM)}")


@dataclass(slots=True)
class Step:
    console: Console
    doing: str
    started: float = field(default_factory=time.monotonic)
    shown: float = 0.0  # elapsed seconds when we last said something

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def tick(self) -> None:
        """Call often while waiting."""
        elapsed = self.elapsed
        if elapsed < PATIENCE:
            return
        text = f"{self.doing} … {elapsed:.0f} s"
        if self.console.is_terminal:
            columns = shutil.get_terminal_size().columns
            frame = SPINNER[int(elapsed * 8) % len(SPINNER)]
            self.console.stream.write(f"\r\x1b[K{frame} {text}"[: columns + 3])
            self.console.stream.flush()
            self.console._spinning = True
        elif elapsed - self.shown >= LINE_EVERY or self.shown == 0.0:
            self.shown = elapsed
            self.console.line(f"  {text}")
