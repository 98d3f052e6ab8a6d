"""When each request is due: at an even rate, or as a recorded trace has it."""

import csv
import gzip
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
MOST_REQUESTS = 5_000_000


class ArrivalsInvalid(Exception):
    """The message names what is wrong, and where."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """``due_s`` counts from the start. Tokens are None where the prompt and limit of the command line apply."""

    due_s: float
    input_tokens: int | None = None
    output_tokens: int | None = None


def seconds(text: str) -> float:
    """``60s``, ``2m``, ``500ms``, or plain seconds. Raises ArrivalsInvalid."""
    number = text.strip().rstrip("hms")
    unit = text.strip()[len(number) :] or "s"
    try:
        found = float(number) * UNITS[unit]
    except (ValueError, KeyError):
        raise ArrivalsInvalid(f"“{text}” is not a duration; write it like 60s, 2m or 500ms.") from None
    if not 0 < found <= 24 * 3600 or math.isnan(found):
        raise ArrivalsInvalid(f"“{text}” must be more than nothing and at most 24h.")
    return found


def even(qps: float, duration_s: float) -> Iterator[Arrival]:
    """Raises ArrivalsInvalid for a rate that is none or asks for more than MOST_REQUESTS."""
    if not 0 < qps <= 100_000:
        raise ArrivalsInvalid("--qps must be more than 0 and at most 100,000.")
    total = round(qps * duration_s)
    if not 1 <= total <= MOST_REQUESTS:
        raise ArrivalsInvalid(
            f"{qps:g} a second for {duration_s:g} s are {total:,} requests; 1 to {MOST_REQUESTS:,} go."
        )
    return (Arrival(number / qps) for number in range(total))


def recorded(path: Path, duration_s: float) -> Iterator[Arrival]:
    """Rows of a CSV file (also gzipped) with ``t_s``, ``input_tokens`` and ``output_tokens``, as far as ``duration_s``.

    Raises ArrivalsInvalid with the line, also while it is read.
    """
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            rows = csv.DictReader(file)
            missing = {"t_s", "input_tokens", "output_tokens"} - set(rows.fieldnames or ())
            if missing:
                raise ArrivalsInvalid(f"{path}: the first line must name {', '.join(sorted(missing))}.")
            start, last = None, -math.inf
            for line, row in zip(count(2), rows, strict=False):
                arrival = _arrival(path, line, row)
                start = arrival.due_s if start is None else start
                if arrival.due_s < last:
                    raise ArrivalsInvalid(f"{path}, line {line}: t_s goes back; sort the file by time.")
                last = arrival.due_s
                if last - start > duration_s:
                    return
                yield Arrival(last - start, arrival.input_tokens, arrival.output_tokens)
            if start is None:
                raise ArrivalsInvalid(f"{path}: there is no row.")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise ArrivalsInvalid(f"{path} cannot be read: {error}") from error


def _arrival(path: Path, line: int, row: dict[str, str]) -> Arrival:
    try:
        arrival = Arrival(float(row["t_s"]), int(row["input_tokens"]), int(row["output_tokens"]))
    except (TypeError, ValueError):
        raise ArrivalsInvalid(f"{path}, line {line}: needs a time and two whole numbers.") from None
    if not math.isfinite(arrival.due_s) or not (0 <= (arrival.input_tokens or 0) <= 10**6):
        raise ArrivalsInvalid(f"{path}, line {line}: t_s must be finite and input_tokens at most 1,000,000.")
    return arrival
