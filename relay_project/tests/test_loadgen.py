"""The load generator: when requests leave, what counts as a latency, and what is said at the end."""

import asyncio
import csv
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from evals.core.load import percentile
from evals.load.models import LoadRun
from relay_project.embedded.ports import free_port
from relay_project.loadgen.arrivals import ArrivalsInvalid, even, recorded, seconds

Handler = Callable[[web.Request], Any]


@contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """A Relay as far as the generator sees it."""
    loop, port, stop = asyncio.new_event_loop(), free_port(), asyncio.Event()
    ready = threading.Event()

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/health", answers)
        app.router.add_post("/v1/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def run(url: str, **options: Any) -> dict[str, Any]:
    out, err = StringIO(), StringIO()
    options.setdefault("no_record", True)
    call_command("loadgen", url=url, stdout=out, stderr=err, **options)
    summary: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return summary


async def answers(request: web.Request) -> web.Response:
    return web.json_response({"text": "pong"}, headers={"x-relay-provider": "mock", "x-relay-cache": "miss"})


def test_as_many_requests_as_the_rate_and_time_say() -> None:
    asked: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers["x-relay-policy"], await request.json()))
        return await answers(request)

    with serving(handler) as url:
        summary = run(url, qps=100, duration="500ms", policy="cheapest", max_tokens=7, unique=True)
    assert summary["requests"] == len(asked) == 50
    assert summary["errors"] == {} and summary["by_provider"] == {"mock": 50} and summary["by_cache"] == {"miss": 50}
    assert summary["p50_ms"] <= summary["p95_ms"] <= summary["p99_ms"]
    assert {(path, policy) for path, policy, _ in asked} == {("/v1/infer", "cheapest")}
    assert all(body["model"] == "mock" and body["max_tokens"] == 7 for _, _, body in asked)
    assert len({body["prompt"] for _, _, body in asked}) == 50


@pytest.mark.django_db
def test_the_result_is_kept_with_its_options_and_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_API_KEY", "sk-relay-planted")
    with serving(answers) as url:
        summary = run(url, qps=50, duration="200ms", model="mock", name="before", no_record=False)
    kept = LoadRun.objects.get(name="before")
    assert (
        (kept.requests, kept.failed, kept.p95_ms) == (summary["requests"], 0, summary["p95_ms"]) == (10, 0, kept.p95_ms)
    )
    assert (kept.options["qps"], kept.options["model"], kept.tool) == ("50", "mock", "loadgen")
    assert "sk-relay-planted" not in repr(vars(kept)) and kept.timeline[0]["qps"] > 0


def test_a_server_that_stands_still_is_not_flattered() -> None:
    """One connection and a pause of 0.5 s: those that were due meanwhile have waited, and their latency says so."""
    first = asyncio.Lock()
    stalled = False

    async def handler(request: web.Request) -> web.Response:
        nonlocal stalled
        async with first:
            if not stalled:
                stalled = True
                await asyncio.sleep(0.5)
        return await answers(request)

    with serving(handler) as url:
        summary = run(url, qps=50, duration="400ms", concurrency=1)
    assert summary["requests"] == 20 and summary["p50_ms"] > 150


def test_errors_are_counted_by_kind() -> None:
    calls = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls % 2:
            return web.json_response({"error": {"code": "queue_full"}}, status=429)
        return await answers(request) if calls % 4 else web.Response(status=502, text="<html>")

    with serving(handler) as url:
        summary = run(url, qps=200, duration="100ms", concurrency=1)
    assert summary["errors"] == {"429 queue_full": 10, "502": 5}


def test_a_stream_must_come_to_its_end() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.path == "/v1/chat/completions" and (await request.json())["stream"] is True
        return web.Response(text='data: {"choices": []}\n\n', content_type="text/event-stream")

    with serving(handler) as url, pytest.raises(CommandError, match="No request was answered"):
        run(url, qps=20, duration="100ms", stream=True, model="mock")


def test_a_recorded_trace_is_sent_as_it_was_and_written_line_by_line(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return await answers(request)

    trace, out = tmp_path / "trace.csv.gz", tmp_path / "out.csv"
    with gzip.open(trace, "wt") as file:
        file.write("t_s,input_tokens,output_tokens\n7.0,100,5\n7.1,10,0\n7.2,1,9\n99,1,1\n")
    with serving(handler) as url:
        assert run(url, trace=trace, csv_out=out, duration="2s")["requests"] == 3
    assert sorted(body["max_tokens"] for body in asked) == [1, 5, 9]
    assert {len(body["prompt"]) // 100 for body in asked} == {0, 4}
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["due_s"] for row in sorted(rows, key=lambda row: row["due_s"])] == ["0.0", "0.1", "0.2"]
    assert {row["kind"] for row in rows} == {"ok"}


def test_a_dead_server_is_said_at_once() -> None:
    with pytest.raises(CommandError, match="does not answer"):
        run(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "http://192.0.2.1:8000"}, "not this machine"),
        ({"url": "ftp://127.0.0.1"}, "must look like"),
        ({"url": "http://nowhere.invalid"}, "not known"),
        ({"qps": 0.0}, "--qps"),
        ({"qps": 99_999.0, "duration": "1h"}, "requests"),
        ({"duration": "soon"}, "not a duration"),
        ({"duration": "48h"}, "at most 24h"),
        ({"concurrency": 0}, "--concurrency"),
        ({"trace": Path("/nowhere.csv")}, "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run(options.pop("url", "http://127.0.0.1:1"), **options)


def test_a_file_that_cannot_be_written_is_told_before_the_load(tmp_path: Path) -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return await answers(request)

    with serving(handler) as url, pytest.raises(CommandError, match="No such file"):
        run(url, csv_out=tmp_path / "nowhere" / "out.csv")
    assert asked == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must name"),
        ("a,b\n1,2\n", "must name"),
        ("t_s,input_tokens,output_tokens\n", "no row"),
        ("t_s,input_tokens,output_tokens\n1,2,x\n", "line 2"),
        ("t_s,input_tokens,output_tokens\n1,2\n", "line 2"),
        ("t_s,input_tokens,output_tokens\n5,2,2\n4,2,2\n", "line 3: t_s goes back"),
        ("t_s,input_tokens,output_tokens\nnan,2,2\n", "finite"),
        ("t_s,input_tokens,output_tokens\n1,9999999,2\n", "at most 1,000,000"),
    ],
)
def test_a_trace_that_is_none_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ArrivalsInvalid, match=said):
        list(recorded(path, 60))


def test_a_broken_gzip_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"t_s,input_tokens,output_tokens\n" + b"1,2,3\n" * 1000)[:-20])
    with pytest.raises(ArrivalsInvalid, match="cannot be read"):
        list(recorded(path, 60))


@pytest.mark.parametrize(("text", "found"), [("60s", 60), ("2m", 120), ("500ms", 0.5), ("1h", 3600), ("5", 5)])
def test_durations(text: str, found: float) -> None:
    assert seconds(text) == found


@given(st.floats(0.1, 1000), st.floats(0.1, 60))
def test_an_even_rate_is_even(qps: float, duration: float) -> None:
    if round(qps * duration) < 1:
        return
    due = [arrival.due_s for arrival in even(qps, duration)]
    assert due[0] == 0 and len(due) == round(qps * duration)
    assert all(abs(later - earlier - 1 / qps) < 1e-6 for earlier, later in pairwise(due))


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_occurred(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in [round(value, 1) for value in ordered]
    assert sum(value <= found + 0.05 for value in ordered) >= share * len(ordered) - 1e-6


def test_no_values_no_percentile() -> None:
    assert percentile([], 0.5) is None
