"""The files of several processes, as one text: compared with what prometheus_client itself makes of them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from relay_project.embedded.state import CHECKOUT
from relay_project.exposition import counted, folded

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
LABELS = st.fixed_dictionaries({"tenant": st.text(max_size=4), "le_like": st.sampled_from(['"', "\\", "\n", "a"])})
KINDS = st.sampled_from(["counter", "histogram", "gauge_livesum", "gauge_livemax", "gauge_livemin", "gauge_max"])
WRITTEN = st.lists(
    st.tuples(st.integers(1, 3), KINDS, LABELS, st.integers(0, 9), st.sampled_from(["0.1", "1.0", "10.0", "+Inf"])),
    max_size=12,
)
LIVE, DEAD = os.getpid(), 2**22 + 1  # Linux has no such process


@settings(max_examples=50)
@given(WRITTEN)
def test_nothing_is_lost_and_nothing_is_counted_twice(
    written: list[tuple[int, str, Mapping[str, str], int, str]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for process, kind, labels, value, edge in written:
            write(directory, process, kind, dict(labels), float(value), edge)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=name)  # type: ignore[no-untyped-call]
        assert samples(folded(directory.glob("*.db"))) == samples(generate_latest(registry).decode())


def test_the_dead_keep_their_counters_and_lose_their_gauges(tmp_path: Path) -> None:
    for process in (LIVE, DEAD):
        write(tmp_path, process, "counter", {"tenant": "a"}, 3.0)
        write(tmp_path, process, "gauge_livesum", {"tenant": "a"}, 2.0)
    (tmp_path / "summary_7.db").touch()  # as it is for an instant when a process makes it
    assert samples(counted(tmp_path).decode()) == {
        ("counter_total", (("tenant", "a"),)): 6.0,
        ("gauge_livesum", (("tenant", "a"),)): 2.0,
    }
    assert (tmp_path / f"counter_{DEAD}.db").exists() and not (tmp_path / f"gauge_livesum_{DEAD}.db").exists()


def test_without_a_shared_directory_a_process_speaks_for_itself() -> None:
    assert b"relay_route_requests_total" in counted(None)


def test_real_processes_are_added_up(tmp_path: Path) -> None:
    code = (
        "from routing.metrics import ROUTED\n"
        "from routing.gauges import publish\n"
        "ROUTED.of('chat', 'mock', 'ok').inc(2)\n"
        "publish({}, {'worker_alive': True, 'pools': {}})\n"
    )
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    run = [subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=CHECKOUT) for _ in range(2)]
    assert [process.wait(120) for process in run] == [0, 0]
    found = samples(counted(tmp_path).decode())
    assert found["relay_route_requests_total", (("deployment", "mock"), ("outcome", "ok"), ("route", "chat"))] == 4
    assert ("relay_web_processes", ()) not in found, "both have ended"


def write(directory: Path, process: int, kind: str, labels: dict[str, str], value: float, edge: str = "1.0") -> None:
    """As prometheus_client does in a process of that number."""
    file = MmapedDict(str(directory / f"{kind}_{process}.db"))  # type: ignore[no-untyped-call]
    names = {kind: labels} if kind.startswith("gauge") else {f"{kind}_total": labels}
    if kind == "histogram":
        names = {"histogram_sum": labels, "histogram_bucket": {**labels, "le": edge}}
    for name, its in names.items():
        key = mmap_key(kind, name, list(its), list(its.values()), "What it\nis.")
        known, _ = file.read_value(key)  # type: ignore[no-untyped-call]
        file.write_value(key, known + value, 0.0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]


def samples(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}
