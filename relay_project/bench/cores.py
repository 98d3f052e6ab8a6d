"""Which core a process runs on, and what it used, as Linux tells it."""

import os
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def take_core(number: int, pid: int = 0) -> None:
    """Keep to one of the machine's cores; children inherit it. With a single core, or not on Linux, nothing happens."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = _cores()
    if len(cores) > number:
        os.sched_setaffinity(pid, {cores[number]})


def cpu_s(pid: int) -> float:
    """User and system time of all its threads, in seconds, to the hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _cores() -> list[int]:
    return sorted(int(entry.name[3:]) for entry in Path("/sys/devices/system/cpu").glob("cpu[0-9]*"))
