"""`manage.py bench_traces`, run with servers of its own: `python -m relay_project.embedded.throwaway .venv/bin/python
manage.py bench_traces`."""

import json
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from relay_project.bench.rows import is_used, quiet_tenant
from relay_project.bench.traces import fill, page_times, written_a_second


class Command(BaseCommand):
    help = "Measure the trace pages over millions of traces of one tenant, and the trace writer. Needs empty servers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rows", type=int, default=2_000_000, help="Traces to make (10 million need 15 GB).")
        parser.add_argument("--repeats", type=int, default=20, help="How often each page is asked for.")
        parser.add_argument("--json", action="store_true", help="One JSON object on stdout.")

    def handle(self, *args: Any, rows: int, repeats: int, **options: Any) -> None:
        if is_used():
            raise CommandError("This database holds something. Give it servers of its own.")
        call_command("migrate_schemas", verbosity=0)
        tenant, busy = quiet_tenant("millions"), quiet_tenant("busy")
        stored = {"traces written a second": round(written_a_second(busy, 20_000))}
        self.stderr.write(f"bench: {stored}; making {rows:,} traces")
        self.stderr.write(f"bench: {fill(tenant, rows):,.0f} rows a second by COPY; asking for pages")
        pages = {name: _summary(times) for name, times in page_times(tenant, repeats).items()}
        if options["json"]:
            self.stdout.write(json.dumps({"rows": rows, **stored, "gigabytes": _gigabytes(), "pages": pages}))
            return
        for name, value in stored.items():
            self.stdout.write(f"{name:<38}{value:>8,}")
        for name, found in pages.items():
            self.stdout.write(f"{name:<24}p50 {found['p50_ms']:>8,.0f} ms   p95 {found['p95_ms']:>8,.0f} ms")
        self.stdout.write(f"{rows:,} traces, {_gigabytes():.1f} GB")


def _summary(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {"p50_ms": ordered[len(ordered) // 2], "p95_ms": ordered[int(len(ordered) * 0.95)]}


def _gigabytes() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return float(cursor.fetchone()[0]) / 1e9
