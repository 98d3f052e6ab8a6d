"""`manage.py bench`, started by `make bench` with servers of its own: what a request costs."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from relay_project.bench.load import Server
from relay_project.bench.measure import Bench, Figures, trace_list_ms, traces_stored
from relay_project.bench.planning import plan_cpu_ms
from relay_project.bench.programs import relay, upstream
from relay_project.bench.rows import is_used, make_rows, quiet_tenant
from relay_project.embedded.ports import free_port

LINES = {
    "miss_cpu_ms": ("Cache miss", "CPU-ms a request", 1.2),
    "exact_hit_cpu_ms": ("Exact hit", "CPU-ms a request", 0.7),
    "stream_cpu_ms": ("Stream of 30 chunks", "CPU-ms a request", 1.8),
    "ledger_added_cpu_ms": ("Three quotas and two limits add", "CPU-ms a request", 0.4),
    "paced_stream_cpu_ms": ("The same, 2 ms between chunks", "CPU-ms a request", None),
    "plan_30_cpu_ms": ("Planning with 30 candidates", "CPU-ms a request", 0.15),
    "added_p50_ms": ("Added at 1 client, p50", "ms", 2),
    "rss_mb": ("Memory of the web process", "MB", 180),
    "trace_list_ms": ("Trace list, 100,000 traces", "ms", 300),
    "semantic_added_cpu_ms": ("Semantic lookup adds", "CPU-ms a request", None),
    "semantic_added_ms": ("Semantic lookup adds, p50", "ms", None),
    "rss_with_embedder_mb": ("Memory with the embedder", "MB", None),
    "requests": ("Requests", "", None),
    "traces_stored": ("Traces stored", "", None),
    "errors": ("Errors", "", 0),
}


class Command(BaseCommand):
    help = "Measure what a request costs the web process. Run it as `make bench`: it needs empty servers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object on stdout.")
        parser.add_argument("--requests", type=int, default=2_000, help="Requests of each kind in a round.")

    def handle(self, *args: Any, requests: int, **options: Any) -> None:
        if not sys.platform.startswith("linux"):
            raise CommandError("The processor time of another process is read from /proc, so this needs Linux.")
        if is_used():
            raise CommandError("This database holds something. Run `make bench`, which brings empty servers.")
        figures = self.measure(requests)
        if options["json"]:
            self.stdout.write(json.dumps(figures))
        else:
            self.table(figures)
        if figures["errors"]:
            raise CommandError("There were errors, so these figures mean nothing.")

    def measure(self, requests: int) -> Figures:
        port, behind = free_port(), free_port()
        self.say("making rows")
        tenant, callers = make_rows(port=port, upstream=behind)
        with upstream(behind), relay(port) as pid:
            bench = Bench(tenant, callers, Server(behind, ""), pid, requests, self.say)
            figures = bench.figures()
            stored = traces_stored(tenant, bench.sent)
        for what, times in bench.errors.items():
            self.say(f"{times} x {what}")
        self.say("storing 100,000 traces")
        return {
            **figures,
            "plan_30_cpu_ms": plan_cpu_ms(),
            "trace_list_ms": trace_list_ms(quiet_tenant("samples")),
            "requests": bench.sent,
            "traces_stored": stored,
            "errors": sum(bench.errors.values()) + abs(bench.sent - stored),
        }

    def say(self, line: str) -> None:
        self.stderr.write(f"bench: {line}")

    def table(self, figures: Figures) -> None:
        for name, (label, unit, target) in LINES.items():
            aim = "" if target is None else f"  (at most {target:g})"
            self.stdout.write(f"{label:<30}{figures[name]:>12,g} {unit:<18}{aim}".rstrip())
