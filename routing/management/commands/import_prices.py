"""`manage.py import_prices`: list prices and context windows of vendors' models, from the list that comes along."""

import gzip
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routing.core.prices import NotAPriceList, PriceList, read_prices
from routing.models import Deployment
from routing.prices import Finding, Outcome, apply, compare

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "model_prices.json.gz"
MAX_BYTES = 64 * 1024 * 1024
SHOWN_PROBLEMS = 20


class Command(BaseCommand):
    help = "Set prices and context windows of deployments from a public price list. Prices set by hand are kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", type=Path, default=SHIPPED, help="A price list (JSON, also gzipped).")
        parser.add_argument("--deployment", action="append", default=[], metavar="SLUG", help="Only this one.")
        parser.add_argument("--overwrite", action="store_true", help="Also prices that were set by hand.")
        parser.add_argument("--dry-run", action="store_true", help="Show what would change.")
        parser.add_argument("--json", action="store_true", help="The findings as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        prices = read_file(options["file"])
        rows = Deployment.objects.select_related("provider")
        if wanted := set(options["deployment"]):
            rows = rows.filter(slug__in=wanted)
            if missing := wanted - set(rows.values_list("slug", flat=True)):
                raise CommandError(f"There is no deployment {', '.join(sorted(missing))}.")
        findings = compare(prices, rows, overwrite=options["overwrite"])
        if not options["dry_run"]:
            apply(findings)
        if options["json"]:
            self.stdout.write(json.dumps([_as_json(finding) for finding in findings]))
            return
        self._report(findings, prices, dry_run=options["dry_run"])

    def _report(self, findings: list[Finding], prices: PriceList, *, dry_run: bool) -> None:
        rows = [("Deployment", "Was, in / out", "List, in / out", "Context", "Outcome"), *map(_row, findings)]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        for row in rows:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        for name, problem in list(prices.problems.items())[:SHOWN_PROBLEMS]:
            self.stderr.write(f"Entry {name[:100]!r} is not used: {problem}")
        if (more := len(prices.problems) - SHOWN_PROBLEMS) > 0:
            self.stderr.write(f"… and {more:,} more entries.")
        changed = sum(finding.outcome is Outcome.CHANGED for finding in findings)
        self.stdout.write(
            f"{changed:,} of {len(findings):,} {'would change' if dry_run else 'changed'}; prices per million tokens."
        )


def read_file(path: Path) -> PriceList:
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                raw = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise CommandError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if len(raw) > MAX_BYTES:
        raise CommandError(f"{path} is over {MAX_BYTES // 1024**2} MiB.")
    try:
        return read_prices(raw)
    except NotAPriceList as error:
        raise CommandError(f"{path}: {error}") from error


def _row(finding: Finding) -> tuple[str, str, str, str, str]:
    row, price = finding.deployment, finding.price
    window = price.context_window if price else 0
    return (
        row.slug,
        _dollars((row.price_in_microusd, row.price_out_microusd)),
        _dollars((price.price_in, price.price_out)) if price else "–",
        f"{row.context_window:,}" + (f" → {window:,}" if window and window != row.context_window else ""),
        finding.outcome.value,
    )


def _dollars(prices: Iterable[int]) -> str:
    return " / ".join(
        f"${price / 1_000_000:,.4f}" if 0 < price < 10_000 else f"${price / 1e6:,.2f}" for price in prices
    )


def _as_json(finding: Finding) -> dict[str, Any]:
    row, price = finding.deployment, finding.price
    return {
        "deployment": row.slug,
        "outcome": finding.outcome.value,
        "was": {"price_in": row.price_in_microusd, "price_out": row.price_out_microusd, "context": row.context_window},
        "listed": {"price_in": price.price_in, "price_out": price.price_out, "context": price.context_window}
        if price
        else None,
    }
