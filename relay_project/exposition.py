"""What all web processes counted, as one text for Prometheus.

With PROMETHEUS_MULTIPROC_DIR each process writes its figures into files of its own there. prometheus_client can add
them up, too, but needs 70 ms for 200 tenants, most of it for reading the same labels again and again; here they are
read once. Its files are read as it documents them: a JSON key ``[family, name, labels, help]`` and a double.
"""

import json
import operator
import os
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.mmap_dict import MmapedDict

TOGETHER: Mapping[str, Callable[[float, float], float]] = {
    "sum": operator.add,
    "max": max,
    "min": min,
}
KNOWN_LINES = 50_000  # more than all series may be


class Line(NamedTuple):
    """A key, read: ``labels`` without the bucket's edge, which is ``le``."""

    family: str
    name: str
    labels: tuple[str, ...]
    le: str
    help: str


def counted(directory: Path | None) -> bytes:
    if directory is None:
        return generate_latest(REGISTRY)
    remove_gauges_of_the_dead(directory)
    return folded(directory.glob("*.db")).encode()


def remove_gauges_of_the_dead(directory: Path) -> None:
    """A counter counts on when its process has ended; a gauge speaks of a process that lives."""
    for path in directory.glob("gauge_live*.db"):
        if not _lives(int(path.stem.rpartition("_")[2])):
            path.unlink(missing_ok=True)


def folded(paths: Iterable[Path]) -> str:
    """The files' sums (of gauges what their mode says) in Prometheus' text format."""
    families: dict[str, tuple[str, dict[str, float]]] = {}
    for path in paths:
        kind, *rest = path.stem.split("_")
        together = TOGETHER[rest[0].removeprefix("live")] if kind == "gauge" else operator.add
        _, sums = families.setdefault("_".join((kind, *rest[:-1])), (kind, {}))
        with suppress(FileNotFoundError, struct.error):  # its process ended just now, or has just made it
            for key, value, _, _ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
                known = sums.get(key)
                sums[key] = value if known is None else together(known, value)
    return "".join(text for kind, sums in families.values() for text in _families(kind, sums))


def _families(kind: str, sums: Mapping[str, float]) -> Iterable[str]:
    lines: defaultdict[str, list[tuple[Line, float]]] = defaultdict(list)
    for key, value in sums.items():
        line = _line(key)
        lines[line.family].append((line, value))
    for family, found in lines.items():
        name = f"{family}_total" if kind == "counter" else family
        yield f"# HELP {name} {found[0][0].help}\n# TYPE {name} {kind}\n"
        if kind == "histogram":
            yield from _histogram(family, found)
        else:
            yield from (f"{line.name}{_braces(line.labels)} {value!r}\n" for line, value in found)


def _histogram(family: str, found: Iterable[tuple[Line, float]]) -> Iterable[str]:
    """The files hold what fell into each bucket; the text says what lies at or below its edge."""
    buckets: defaultdict[tuple[str, ...], list[tuple[str, float]]] = defaultdict(list)
    for line, value in found:
        if line.le:
            buckets[line.labels].append((line.le, value))
        else:
            yield f"{line.name}{_braces(line.labels)} {value!r}\n"
    for labels, unsorted in buckets.items():
        edges = sorted(unsorted, key=lambda item: float(item[0]))
        for (le, _), below in zip(edges, accumulate(value for _, value in edges), strict=True):
            yield f"{family}_bucket{_braces((*labels, _pair('le', le)))} {below!r}\n"
        yield f"{family}_count{_braces(labels)} {below!r}\n"


@lru_cache(maxsize=KNOWN_LINES)
def _line(key: str) -> Line:
    family, name, labels, said = json.loads(key)
    le = labels.pop("le", "") if name.endswith("_bucket") else ""
    pairs = tuple(_pair(label, value) for label, value in labels.items())
    return Line(family, name, pairs, le, said.replace("\\", r"\\").replace("\n", r"\n"))


def _pair(label: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{label}="{escaped}"'


def _braces(pairs: tuple[str, ...]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
