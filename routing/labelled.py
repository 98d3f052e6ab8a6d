"""Prompts with both tiers' results: CSV, plain or gzip. Public ones are in `data/`, their sources in NOTICE."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data"
MMLU = DATA / "mmlu_weak_strong.csv.gz"
WEAK, STRONG = "mixtral_8x7b_correct", "gpt4_1106_correct"
COLUMNS = ("prompt", WEAK, STRONG)  # and `domain`, the subject, which may be missing
LONGEST = 10_000_000  # characters of a prompt

_FLAGS = {"True": True, "False": False}


class UnreadableData(ValueError):
    """One line for a person: which file, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class Labelled:
    subject: str  # empty: not said
    prompt: str
    weak: bool  # the weak tier's answer was right
    strong: bool


def read_labelled(path: Path) -> list[Labelled]:
    """At least one row, or UnreadableData."""
    csv.field_size_limit(LONGEST)
    try:
        rows = list(_rows(path))
    except FileNotFoundError as error:
        raise UnreadableData(f"There is no file {path}. Name one with the columns {_named(COLUMNS)}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableData(f"{path} can't be read ({error}). Fetch or copy it anew.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableData(f"{path} is no CSV text in UTF-8 ({error}). Save it as CSV, plain or gzip.") from error
    if not rows:
        raise UnreadableData(f"{path} holds no rows. Name a file with at least one prompt.")
    return rows


def _rows(path: Path) -> Iterator[Labelled]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode("utf-8-sig")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise UnreadableData(f"{path} lacks {_named(missing)}. Its first line must name {_named(COLUMNS)}.")
    for row in reader:
        weak, strong = _FLAGS.get(row[WEAK]), _FLAGS.get(row[STRONG])
        if weak is None or strong is None:
            where = f"{path}, line {reader.line_num}"
            raise UnreadableData(f"{where}: {WEAK} and {STRONG} must be True or False. Correct that row.")
        yield Labelled(row.get("domain") or "", row["prompt"], weak, strong)


def _named(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names)
