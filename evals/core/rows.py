"""Rows of a data set, from JSON lines or CSV: all problems with their row numbers, or the items.

Nothing is read twice and no line is longer than it may be, so a file of any size is refused at a bounded price.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from routing.core.request import Called, InvalidRequest, parse_chat

MOST_BYTES, MOST_ROWS, MOST_TOLD = 32 * 1024 * 1024, 20_000, 20
LONGEST_LINE = 1024 * 1024
PARAMETERS = (
    *("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "n", "presence_penalty"),
    *("frequency_penalty", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"),
)
COLUMNS = ("prompt", "messages", "system", "reference", "category", "schema", *PARAMETERS)
TEXTS = ("prompt", "system", "reference", "category")
LONGEST_CATEGORY = 80

ReadLine = Callable[[int], bytes]  # at most that many bytes, with its end; empty: that was all


@dataclass(frozen=True, slots=True)
class Row:
    """``number`` in the source, from 1 (a CSV's first line has none); ``body``: a chat request without model."""

    number: int
    body: Mapping[str, Any]
    reference: str = ""
    answer_schema: Mapping[str, Any] | bool | None = None
    category: str = ""
    trace_id: str | None = None


class DatasetInvalid(Exception):
    """``problems``: the first MOST_TOLD, each with its row; ``count``: of all that were found."""

    def __init__(self, problems: Sequence[str], count: int | None = None) -> None:
        self.problems = list(problems[:MOST_TOLD])
        self.count = len(problems) if count is None else count
        super().__init__("\n".join(self.problems))

    @property
    def told(self) -> str:
        more = self.count - len(self.problems)
        return f"{self.count:,} problem{'s' if self.count != 1 else ''}" + (f", {more:,} not shown" if more else "")


def read_rows(read_line: ReadLine, *, is_csv: bool) -> list[Row]:
    """Raises DatasetInvalid."""
    found: list[Row] = []
    problems: list[str] = []
    for number, fields in _csv(read_line) if is_csv else _json_lines(read_line):
        if number > MOST_ROWS:
            raise DatasetInvalid([*problems, f"More than {MOST_ROWS:,} rows: split the file."])
        try:
            found.append(_row(number, _problem_free(fields)))
        except InvalidRequest as problem:
            problems.append(f"Row {number}: {problem}")
    if problems:
        raise DatasetInvalid(problems)
    if not found:
        raise DatasetInvalid(["There is no row in it."])
    return found


def without_reference(rows: Sequence[Row]) -> list[int]:
    """Where some rows have a right answer: the numbers of those that have none."""
    missing = [row.number for row in rows if not row.reference]
    return missing if len(missing) < len(rows) else []


def _lines(read_line: ReadLine) -> Iterator[bytes]:
    size = 0
    while line := read_line(LONGEST_LINE + 1):
        size += len(line)
        if size > MOST_BYTES:
            raise DatasetInvalid([f"It is larger than {MOST_BYTES // 1024**2} MB: split it."])
        if len(line) > LONGEST_LINE:
            raise DatasetInvalid([f"A line is longer than {LONGEST_LINE // 1024**2} MB. One line holds one row."])
        yield line


def _text(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"not UTF-8 (byte {error.start + 1} of the line).") from None


Fields = dict[str, Any] | InvalidRequest


def _problem_free(fields: Fields) -> dict[str, Any]:
    if isinstance(fields, InvalidRequest):
        raise fields
    return fields


def _json_lines(read_line: ReadLine) -> Iterator[tuple[int, Fields]]:
    """Empty lines are no rows, but they count: numbers are those of an editor."""
    for number, line in enumerate(_lines(read_line), 1):
        if line.strip():
            yield number, _json_line(line, number)


def _json_line(line: bytes, number: int) -> Fields:
    try:
        fields = json.loads(_text(line, number), parse_constant=_no_constant)
        if not isinstance(fields, dict):
            return InvalidRequest("must be a JSON object.")
        return {name: value for name, value in fields.items() if value is not None}
    except InvalidRequest as problem:
        return problem
    except (ValueError, RecursionError) as error:
        return InvalidRequest(f"not valid JSON: {error}."[:200])


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _csv(read_line: ReadLine) -> Iterator[tuple[int, Fields]]:
    """Parameters, messages and schema are JSON in their cells; an empty cell is absent."""
    lines = _decoded(read_line)
    try:
        reader = csv.reader(lines, strict=True)
        head = [name.strip() for name in next(reader, [])]
        if len(set(head)) < len(head) or not {"prompt", "messages"} & set(head):
            raise DatasetInvalid(
                ["The first line must name the columns, each once, “prompt” or “messages” among them."]
            )
        for number, cells in enumerate(reader, 1):
            if any(cells):
                yield number, _cells(head, cells)
    except InvalidRequest as problem:
        raise DatasetInvalid([f"Line {reader.line_num + 1}: {problem}"]) from None
    except csv.Error as error:
        long = " Longer texts fit into JSON lines." if "field limit" in str(error) else ""
        raise DatasetInvalid([f"Line {reader.line_num}: not valid CSV: {error}.{long}"]) from None


def _decoded(read_line: ReadLine) -> Iterator[str]:
    for number, line in enumerate(_lines(read_line), 1):
        yield _text(line, number)


def _cells(head: Sequence[str], cells: Sequence[str]) -> Fields:
    if len(cells) > len(head):
        return InvalidRequest(f"{len(cells)} cells, but the first line names {len(head)} columns.")
    fields: dict[str, Any] = {}
    for name, cell in zip(head, cells, strict=False):
        if cell.strip() and name in COLUMNS and name not in TEXTS:
            try:
                fields[name] = json.loads(cell, parse_constant=_no_constant)
            except (ValueError, RecursionError):
                return InvalidRequest(f"“{name}” must be JSON in its cell.")
        elif cell.strip():
            fields[name] = cell
    return fields


def _row(number: int, fields: dict[str, Any]) -> Row:
    """Raises InvalidRequest that names the column."""
    unknown = sorted(fields.keys() - set(COLUMNS))
    if unknown:
        raise InvalidRequest(f"unknown column “{unknown[0]}”. Known: {', '.join(COLUMNS)}.")
    for name in TEXTS:
        if not isinstance(fields.get(name, ""), str):
            raise InvalidRequest(f"“{name}” must be text.")
    schema = fields.get("schema")
    if schema is not None and not isinstance(schema, dict | bool):
        raise InvalidRequest("“schema” must be a JSON schema: an object.")
    category, reference = fields.get("category", "").strip(), fields.get("reference", "")
    if len(category) > LONGEST_CATEGORY:
        raise InvalidRequest(f"“category” takes up to {LONGEST_CATEGORY} characters.")
    if "\0" in category + reference or "\\u0000" in json.dumps(schema):
        raise InvalidRequest("NUL characters are not allowed.")
    return Row(number, _body(fields), reference, schema, category)


def _body(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Checked as Relay checks a request, so that no row fails for its form when it is asked."""
    if "prompt" in fields and "messages" in fields:
        raise InvalidRequest("has both “prompt” and “messages”; one of them is enough.")
    messages = fields.get("messages")
    if messages is None:
        if not fields.get("prompt", "").strip():
            raise InvalidRequest("no prompt.")
        messages = [{"role": "user", "content": fields["prompt"]}]
    if fields.get("system") and isinstance(messages, list):
        messages = [{"role": "system", "content": fields["system"]}, *messages]
    body = {"messages": messages} | {name: fields[name] for name in PARAMETERS if name in fields}
    try:
        raw = orjson.dumps({**body, "model": "any"})
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(f"cannot be sent as JSON: {error}.") from None
    parse_chat(raw, Called(""))
    return body
