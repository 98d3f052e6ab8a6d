"""`manage.py bench_routing`: the shipped data keep its promise, foreign data are never worse than chance."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from routing.labelled import DATA, MMLU, STRONG, WEAK, Labelled, read_labelled
from routing.tiers import SHIPPED

GSM8K = DATA / "gsm8k_weak_strong.csv.gz"


def run(capsys: pytest.CaptureFixture[str], *args: object, **options: Any) -> Any:
    call_command("bench_routing", "--json", *map(str, args), **options)
    return json.loads(capsys.readouterr().out)


def write(path: Path, rows: list[Labelled]) -> Path:
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["domain", "prompt", WEAK, STRONG])
        lines.writerows([row.subject, row.prompt, row.weak, row.strong] for row in rows)
    return path


def test_half_the_subjects_teach_how_to_route_the_other_half(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    saved = tmp_path / "model.json"
    figures = run(capsys, "--save-model", saved)
    assert figures["strong_share_at_95"] <= 0.45
    assert figures["oracle_share_at_95"] < figures["strong_share_at_95"] < 0.6 * figures["random_share_at_95"]
    assert figures["apgr"] > 0.65
    assert figures["flagged_foreign"] < 0.1
    halves = figures["random_halves"]
    assert halves["smallest"] < halves["mean"] < 0.45 and halves["largest"] < figures["random_share_at_95"]
    assert numbers(json.loads(saved.read_text())) == pytest.approx(numbers(json.loads(SHIPPED.read_text())))


def numbers(stored: dict[str, Any]) -> list[float]:
    return [stored["better"], stored["worse"], *(n for line in stored["measures"].values() for n in line.values())]


def test_foreign_prompts_are_flagged_and_exactly_as_good_as_chance(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run(capsys, "--data", GSM8K)
    assert figures["flagged_foreign"] == 1
    assert figures["strong_share_at_95"] == figures["random_share_at_95"] > figures["oracle_share_at_95"]
    assert figures["apgr"] == 0.5
    assert (figures["prompts"], figures["left_out_subjects"], figures["random_halves"]) == (660, [], None)


def test_subjects_that_were_learned_from_are_left_out_and_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [row for row in read_labelled(MMLU) if row.subject in ("anatomy", "marketing")]
    figures = run(capsys, "--data", write(tmp_path / "two.csv", rows))
    assert figures["left_out_subjects"] == ["marketing"]
    assert figures["prompts"] == sum(row.subject == "anatomy" for row in rows)
    known = write(tmp_path / "known.csv", [row for row in rows if row.subject == "marketing"])
    with pytest.raises(CommandError, match=r"All subjects in .*known.csv were learned from. Name a file"):
        call_command("bench_routing", data=known)


def test_the_picture_and_the_table_say_the_same_as_the_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    same = [Labelled("new", "Why?", weak=True, strong=True)] * 3
    picture = tmp_path / "curve.svg"
    call_command("bench_routing", data=write(tmp_path / "same.csv", [*same, *read_labelled(MMLU)[:5]]), svg=picture)
    shown = capsys.readouterr().out
    assert "● classifier" in shown and "\x1b" not in shown
    assert "3 unseen prompts" in shown and "no gap" in shown
    assert "Flagged as foreign       100.0%" in shown
    assert "Learned from, so left out: abstract_algebra" in shown
    assert picture.read_text().startswith("<svg")
    call_command("bench_routing", no_color=True)
    assert "20 random halves" in capsys.readouterr().out


def test_what_can_not_be_read_or_written_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"There is no file .*absent.csv. Name one with the columns"):
        call_command("bench_routing", data=tmp_path / "absent.csv")
    with pytest.raises(CommandError, match=r"can't be written .*. Name another file."):
        call_command("bench_routing", data=GSM8K, svg=tmp_path)
