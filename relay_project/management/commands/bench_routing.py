"""`manage.py bench_routing`: how few strong calls keep the quality?"""

import json
import sys
from argparse import RawDescriptionHelpFormatter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter

from relay_project.charts import Chart, Series, svg_chart, text_chart
from relay_project.embedded.console import Console
from routing.core.quality import KEEP, curve, oracle_curve, random_curve
from routing.core.tiers import TierModel
from routing.labelled import MMLU, UnreadableData, read_labelled
from routing.tier_report import Halves, Prompts, Report, learn, learned_subjects, measured, random_halves, report
from routing.tiers import model_text

HALVES = 20
AIM = 0.45


class KeptLines(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    pass


class Command(BaseCommand):
    help = """Measure the tier classifier: how few prompts must go to the strong model to keep the quality?

It learns from every other subject (by name) of the MMLU prompts that ship with Relay and is measured on prompts of
other subjects: those that ship, or all of --data FILE except subjects that were learned from, which are left out.

  strong_share_at_95   smallest share of strong calls with at least 95 % of the strong model's score
  random_share_at_95   the same when chance chooses the strong calls
  oracle_share_at_95   the same when both models' results are known beforehand
  apgr                 gap between weak and strong score that is recovered, mean over all shares (chance: 0.5)
  flagged_foreign      share of prompts outside what was learned; among them chance chooses
  random_halves        strong_share_at_95 when chance picks the subjects to learn from (without --data)

Shares are of all measured prompts, 0 to 1. apgr is null where the strong model is not better."""
    requires_system_checks = ()  # it needs no server

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=KeptLines, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--data",
            type=Path,
            metavar="FILE",
            help="CSV, plain or gzip: prompt, mixtral_8x7b_correct, gpt4_1106_correct (True or False), maybe domain.",
        )
        parser.add_argument("--json", action="store_true", help="One JSON object on stdout, no picture.")
        parser.add_argument("--svg", type=Path, metavar="FILE", help="Write the picture to this file, too.")
        parser.add_argument("--save-model", type=Path, metavar="FILE", help="Write what was learned to this file.")

    def handle(self, *args: Any, data: Path | None, svg: Path | None, **options: Any) -> None:
        model, prompts, left_out, halves = self.prepare(data)
        result = report(model, prompts)
        chart = picture(result, prompts)
        if svg:
            write(svg, svg_chart(chart))
        if options["save_model"]:
            write(options["save_model"], model_text(model))
        if options["json"]:
            self.stdout.write(json.dumps(as_json(result, len(prompts.subjects), left_out, halves)))
        else:
            paint = uncoloured if options["no_color"] else Console(sys.stdout).paint
            self.stdout.write(text_chart(chart, paint))
            self.table(result, len(prompts.subjects), left_out, halves)

    def prepare(self, data: Path | None) -> tuple[TierModel, Prompts, list[str], Halves | None]:
        """What was learned, the unseen prompts, the subjects of the data that are not among them, and other halves."""
        with Console(sys.stderr).step("Measuring prompts", "Prompts measured") as step:
            try:
                given = measured(read_labelled(data or MMLU), step.tick)
                shipped = measured(read_labelled(MMLU), step.tick) if data else given
            except UnreadableData as error:
                raise CommandError(str(error)) from error
            learned = learned_subjects(shipped)
            unseen = given.of(frozenset(given.subjects) - learned)
            if not unseen.subjects:
                raise CommandError(f"All subjects in {data} were learned from. Name a file with other subjects.")
            halves = None if data else random_halves(shipped, HALVES, step.tick)
            return learn(shipped.of(learned)), unseen, sorted(learned.intersection(given.subjects)), halves

    def table(self, result: Report, prompts: int, left_out: list[str], halves: Halves | None) -> None:
        found = result.figures
        self.stdout.write(
            f"\nStrong calls that keep {KEEP:.0%} of the strong model's score, {prompts:,} unseen prompts"
        )
        for label, share, note in (
            ("classifier", found.strong_share_at_95, f"  (aim: at most {AIM:.0%})"),
            ("chance", found.random_share_at_95, ""),
            ("oracle", found.oracle_share_at_95, ""),
        ):
            self.stdout.write(f"  {label:<22}{share:>7.1%}{note}")
        if halves:
            span = f"  (mean; {halves.smallest:.1%} to {halves.largest:.1%})"
            self.stdout.write(f"  {f'{halves.times} random halves':<22}{halves.mean:>7.1%}{span}")
        recovered = "no gap" if found.apgr is None else f"{found.apgr:.3f}"
        self.stdout.write(f"Gap recovered (APGR)    {recovered:>7}  (chance: 0.5)")
        self.stdout.write(f"Flagged as foreign      {result.flagged_foreign:>7.1%}  (chance orders them)")
        if left_out:
            self.stdout.write(f"Learned from, so left out: {', '.join(left_out)}")


def picture(result: Report, prompts: Prompts) -> Chart:
    weak, strong = prompts.weak, prompts.strong
    return Chart(
        across="strong calls",
        up="right answers",
        series=(
            Series("chance", "·", 37, "#888888", random_curve(weak, strong).tolist()),
            Series("oracle", "○", 32, "#2a8a3e", oracle_curve(weak, strong).tolist()),
            Series("classifier", "●", 36, "#0b6bcb", curve(result.gains, weak, strong).tolist()),
        ),
        level=KEEP * result.figures.strong_score,
        level_name=f"{KEEP:.0%} of the strong model's score",
    )


def uncoloured(text: str, colour: int) -> str:
    return text


def as_json(result: Report, prompts: int, left_out: list[str], halves: Halves | None) -> dict[str, Any]:
    rounded = {name: None if value is None else round(value, 4) for name, value in asdict(result.figures).items()}
    return {
        **rounded,
        "flagged_foreign": round(result.flagged_foreign, 4),
        "prompts": prompts,
        "left_out_subjects": left_out,
        "random_halves": None if halves is None else {name: round(value, 4) for name, value in asdict(halves).items()},
    }


def write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise CommandError(f"{path} can't be written ({error.strerror}). Name another file.") from error
