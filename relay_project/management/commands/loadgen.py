"""`manage.py loadgen`: put a load on a running Relay and say what it did."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils import timezone

from evals.core.load import Report
from evals.load.services import record_load_run
from relay_project.loadgen.arrivals import Arrival, ArrivalsInvalid, even, recorded, seconds
from relay_project.loadgen.drive import Driver, Load
from relay_project.loadgen.target import check_target

RECORDED = (
    *("qps", "concurrency", "duration", "policy", "model", "prompt", "max_tokens", "unique", "stream", "trace", "url"),
    *("tenant", "timeout"),
)


class Command(BaseCommand):
    help = (
        "Open-loop load on a running Relay: requests leave on time whatever the answers do, and a latency counts from"
        " the moment the request was due. The last line on stdout is one JSON object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--qps", type=float, default=50.0, help="Requests a second (not with --trace).")
        add("--concurrency", type=int, default=128, help="Connections; with all busy, requests wait.")
        add("--duration", default="10s", help="Like 60s, 2m, 500ms.")
        add("--policy", default="", help="Policy or strategy that plans the requests.")
        add("--model", default="mock", help="Model or route; the default costs nothing.")
        add("--prompt", default="ping", help="What is asked.")
        add("--max-tokens", type=int, default=None)
        add("--unique", action="store_true", help="Number the prompts, so that no cache answers.")
        add("--stream", action="store_true", help="Stream from /v1/chat/completions.")
        add("--trace", type=Path, help="CSV (or .gz) with t_s, input_tokens, output_tokens: send as it was recorded.")
        add("--csv-out", type=Path, help="Write one line a request here.")
        add("--url", default=f"http://127.0.0.1:{settings.PORT}", help="Where Relay runs.")
        add("--tenant", default="default", help="Tenant of keyless requests (development).")
        add("--timeout", default="60s", help="Longest wait for one answer.")
        add("--name", default="", help="What the run is called in the console.")
        add("--no-record", action="store_true", help="Do not keep the result in the database.")
        add("--remote", action="store_true", help="Allow a server that is not on this machine.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            arrivals, load = self.arrivals(options), self.load(options)
        except ArrivalsInvalid as error:
            raise CommandError(str(error)) from error
        check_target(load.url, remote=options["remote"])
        if options["csv_out"]:
            written(options["csv_out"], lambda path: path.touch())
        driver, started_at = Driver(load), timezone.now()
        seen = [0]

        def tick() -> None:
            self.progress(driver.results.line(seen[0], 1.0))
            seen[0] = len(driver.results.all)

        try:
            elapsed = asyncio.run(self.run(driver, arrivals, tick))
        except* ArrivalsInvalid as group:
            raise CommandError(str(group.exceptions[0])) from group
        self.stdout.write(json.dumps(driver.results.summary(elapsed)))
        if not options["no_record"]:
            self.record(driver.results.report(elapsed), started_at, options)
        if options["csv_out"]:
            written(options["csv_out"], driver.results.write_csv)
        if not any(item.kind == "ok" for item in driver.results.all):
            raise CommandError("No request was answered; the errors stand above.")

    def arrivals(self, options: dict[str, Any]) -> Any:
        """Raises ArrivalsInvalid; of a file, its first row is read here and the others as they are due."""
        duration = seconds(options["duration"])
        if not options["trace"]:
            return even(options["qps"], duration)
        rows = recorded(options["trace"], duration)
        first = next(rows, None)
        return _chained(first, rows)

    def load(self, options: dict[str, Any]) -> Load:
        if not 1 <= options["concurrency"] <= 10_000:
            raise CommandError("--concurrency must be 1 to 10,000.")
        key = os.environ.get("RELAY_API_KEY")
        who = {"Authorization": f"Bearer {key}"} if key else {"X-Tenant-Id": options["tenant"]}
        named = {"x-relay-policy": options["policy"]} if options["policy"] else {}
        return Load(
            url=options["url"].rstrip("/"),
            headers={"Content-Type": "application/json", **who, **named},
            prompt=options["prompt"],
            model=options["model"],
            max_tokens=options["max_tokens"],
            unique=options["unique"],
            stream=options["stream"],
            timeout_s=seconds(options["timeout"]),
            concurrency=options["concurrency"],
        )

    async def run(self, driver: Driver, arrivals: Any, tick: Any) -> float:
        """Ctrl-C stops sending; what is under way is awaited and counted."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, driver.stop)
        return await driver.run(arrivals, tick)

    def progress(self, line: str) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r\x1b[K{line}", ending="")
            self.stderr.flush()
        else:
            self.stderr.write(line)

    def record(self, report: Report, started_at: datetime, options: dict[str, Any]) -> None:
        """A Relay elsewhere may be loaded from a machine without its database: that is said, and is no failure."""
        kept = {name: str(options[name]) for name in RECORDED if options[name] not in (None, "", False)}
        name = options["name"] or f"loadgen {options['policy'] or options['model'] or options['prompt'][:40]}"
        try:
            record_load_run(name=name, tool="loadgen", started_at=started_at, options=kept, report=report)
        except DatabaseError as error:
            self.stderr.write(f"The result was not kept: {str(error).strip().splitlines()[0]}")


def written(path: Path, write: Callable[[Path], None]) -> None:
    """Tried before the load, too: what cannot be written is told before anybody waited for it."""
    try:
        write(path)
    except OSError as error:
        raise CommandError(f"--csv-out: {path} cannot be written: {error.strerror}.") from error


def _chained(first: Arrival | None, rest: Any) -> Any:
    if first is not None:
        yield first
        yield from rest
