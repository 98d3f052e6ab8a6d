"""`manage.py eval_gate`: is a candidate's run proven worse than its baseline's? For CI: the exit status says it."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django_tenants.utils import tenant_context

from evals.core.gate_words import VERDICTS, Row
from evals.core.junit import junit
from evals.gating import DEFAULT, NotComparable, Verdict, ask, keep, newest_pair
from evals.models import Gate, Run
from tenants.models import Tenant

EXIT = {"pass": 0, "fail": 1, "undecided": 2}
UNUSABLE = 3  # wrong arguments, runs that cannot be compared, no database
HEADS = ("Metric", "Baseline", "Candidate", "Change", "Interval", "Rule", "Pairs", "Verdict")


class Command(BaseCommand):
    help = (
        "Gate a candidate's run against its baseline's. Exits with 0: pass, 1: fail, 2: not enough evidence,"
        " 3: they could not be compared."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Wrong arguments must not look like a verdict; argparse would exit with 2."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        if self._called_from_command_line:  # type: ignore[attr-defined]
            parser.error = lambda message: _refuse(parser, message)  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--baseline", type=int, metavar="RUN", help="number of the baseline's run")
        parser.add_argument(
            "--candidate", type=int, metavar="RUN", help="number of the candidate's (default: the newest of --policy)"
        )
        parser.add_argument("--policy", default="", help="compare its newest finished candidate with its baseline")
        parser.add_argument("--gate", default=DEFAULT, help="slug of the gate (default: default)")
        parser.add_argument("--tenant", default="default", help="whose runs (default: default)")
        parser.add_argument("--junit", metavar="FILE", help="write JUnit XML there")
        parser.add_argument("--json", metavar="FILE", help="write JSON there; “-” prints it instead of the table")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = Tenant.objects.exclude(schema_name="public").filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant {options['tenant']!r} (--tenant).", returncode=UNUSABLE)
        try:
            with tenant_context(tenant):
                verdict = self._gate(options, tenant.slug)
        except (NotComparable, DatabaseError, OSError) as error:
            raise CommandError(str(error), returncode=UNUSABLE) from None
        raise SystemExit(EXIT[verdict.verdict])

    def _gate(self, options: dict[str, Any], tenant: str) -> Verdict:
        gate = Gate.objects.filter(slug=options["gate"]).first()
        if gate is None:
            there = ", ".join(Gate.objects.values_list("slug", flat=True)) or "none"
            raise NotComparable(f"There is no gate {options['gate']!r}. There are: {there}.")
        baseline, candidate = _runs(options)
        verdict = ask(gate, baseline, candidate)
        comparison = keep(verdict, baseline, candidate, by="command line")
        report = {
            "verdict": verdict.verdict,
            "sentence": verdict.sentence,
            "gate": gate.slug,
            "confidence": gate.confidence,
            "tenant": tenant,
            "dataset": str(candidate.version),
            "baseline": _named(baseline),
            "candidate": _named(candidate),
            "comparison": str(comparison.pk),
            "rules": [asdict(row) for row in verdict.rows],
        }
        if options["junit"]:
            suite = f"gate {gate.slug}: run {candidate.pk} beside run {baseline.pk}"
            Path(options["junit"]).write_bytes(junit(suite, verdict.rows))
        text = json.dumps(report, ensure_ascii=False, indent=2)
        if options["json"] == "-":
            self.stdout.write(text)
            return verdict
        if options["json"]:
            Path(options["json"]).write_text(text + "\n", encoding="utf-8")
        self._print(verdict, baseline, candidate)
        self.stdout.write(f"\nReport: /admin/evals/compare/{comparison.pk}/?tenant={tenant}")
        return verdict

    def _print(self, verdict: Verdict, baseline: Run, candidate: Run) -> None:
        self.stdout.write(f"{candidate.version}: {_told(candidate)} beside {_told(baseline)}\n")
        for line in table(verdict.rows):
            self.stdout.write(line)
        for row in verdict.rows:
            if row.verdict != "pass":
                self.stdout.write(f"{row.label}: {row.why}")
        style = {"pass": self.style.SUCCESS, "fail": self.style.ERROR}.get(verdict.verdict, self.style.WARNING)
        self.stdout.write("\n" + style(verdict.sentence))


def table(rows: tuple[Row, ...]) -> list[str]:
    cells = [HEADS] + [
        (
            *(row.label, row.baseline_text, row.candidate_text, row.change_text, row.interval_text),
            *(row.rule_text, f"{row.pairs:,}", VERDICTS[row.verdict]),
        )
        for row in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADS))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _runs(options: dict[str, Any]) -> tuple[Run, Run]:
    """Raises NotComparable."""
    runs = Run.objects.select_related("version__dataset", "baseline__version__dataset")
    if options["candidate"] is None:
        if options["baseline"] is not None or not options["policy"]:
            raise NotComparable("Give --candidate RUN (and --baseline RUN), or --policy SLUG.")
        return newest_pair(options["policy"])
    candidate = _run(runs.filter(pk=options["candidate"]).first(), options["candidate"])
    if options["baseline"] is None:
        if candidate.baseline is None:
            raise NotComparable(f"Run {candidate.pk} was made without a baseline: give --baseline RUN.")
        return candidate.baseline, candidate
    return _run(runs.filter(pk=options["baseline"]).first(), options["baseline"]), candidate


def _run(found: Run | None, number: int) -> Run:
    if found is None:
        raise NotComparable(f"There is no run {number}.")
    return found


def _named(run: Run) -> dict[str, Any]:
    return {"run": run.pk, "name": run.name, "policy": f"{run.policy}@{run.policy_version}", "route": run.route}


def _told(run: Run) -> str:
    return f"run {run.pk} ({run.policy}@{run.policy_version})"


def _refuse(parser: CommandParser, message: str) -> NoReturn:
    parser.print_usage()
    parser.exit(UNUSABLE, f"{parser.prog}: error: {message}\n")
