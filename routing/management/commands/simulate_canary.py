"""`manage.py simulate_canary`: how often an identical candidate is taken back, how soon one that fails 5x as often."""

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routing.canary_simulation import HORIZON, Result, simulate

EVERY_S = 5.0
SAID = """\
{canaries:,} canaries of each kind, up to {horizon:,} calls of the candidate, seed {seed}

                                     ours    a z-test that is read every 10 calls
identical, yet rolled back      {false_rollback:10.2%} {z_test_false_rollback:10.2%}
  with every metric             {false_rollback_all_metrics:10.2%}
fails 5x as often: caught       {power_5x:10.2%}
  after calls (median)          {median_requests_to_catch_5x:10.0f} {z_test_median_requests_to_catch_5x:10.0f}
  after calls (99 %)            {p99_requests_to_catch_5x:10.0f}
answers score .62, not .81: caught
  after pairs (median)          {median_pairs_to_catch_worse_answers:10.0f}
"""


class Command(BaseCommand):
    help = "Simulate canaries: false roll-backs, and how soon a candidate that fails 5x as often is caught."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--canaries", type=int, default=1_000, help="of each kind (default: 1000)")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--json", action="store_true", help="the figures as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["canaries"] < 1 or options["seed"] < 0:
            raise CommandError("--canaries must be at least 1, --seed at least 0.")
        self._said_at, self._live = time.monotonic(), self.stderr.isatty()
        result: Result = simulate(options["canaries"], options["seed"], self._progress)
        figures = result.as_json()
        self.stdout.write(json.dumps(figures) if options["json"] else SAID.format(seed=options["seed"], **figures))

    def _progress(self, done: int, total: int) -> None:
        """On a terminal one line that is written over; else a line every five seconds."""
        now = time.monotonic()
        if now - self._said_at >= (0.2 if self._live else EVERY_S) or (self._live and done == total):
            self._said_at = now
            line = f"{done:,} of {total:,} canaries, at most {HORIZON:,} calls each"
            self.stderr.write(
                f"\r{line}" if self._live else line, ending="\n" if done == total or not self._live else ""
            )
