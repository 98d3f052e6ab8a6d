"""Files of rows: what is read, and what is said of what cannot be."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core import rows as reading
from evals.core.rows import DatasetInvalid, Row, read_rows, without_reference


def read(raw: bytes | str, *, is_csv: bool = False) -> list[Row]:
    file = io.BytesIO(raw.encode() if isinstance(raw, str) else raw)
    return read_rows(file.readline, is_csv=is_csv)


def problems(raw: bytes | str, *, is_csv: bool = False) -> list[str]:
    with pytest.raises(DatasetInvalid) as error:
        read(raw, is_csv=is_csv)
    return error.value.problems


def asked(row: Row) -> str:
    return str(row.body["messages"][-1]["content"])


def test_json_lines() -> None:
    text = '\ufeff{"prompt": "Grüße", "reference": "42", "category": " math ", "temperature": 0}\n\n'
    text += '{"messages": [{"role": "user", "content": "b"}], "system": "Be brief.", "schema": {"type": "object"}}'
    first, second = read(text)
    assert first == Row(
        1, {"messages": [{"role": "user", "content": "Grüße"}], "temperature": 0}, reference="42", category="math"
    )
    assert second.number == 3 and second.answer_schema == {"type": "object"}
    assert [one["role"] for one in second.body["messages"]] == ["system", "user"]


def test_csv() -> None:
    text = 'prompt,reference,max_tokens,schema,category\n"a, and\nb",2,7,"{""type"": ""object""}",x\n\nc\n'
    first, second = read(text, is_csv=True)
    assert (asked(first), first.reference, first.body["max_tokens"]) == ("a, and\nb", "2", 7)
    assert first.answer_schema == {"type": "object"} and asked(second) == "c"
    chat = 'messages\n"[{""role"": ""user"", ""content"": ""hi""}]"\n'
    assert asked(read(chat, is_csv=True)[0]) == "hi"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"reference": "x"}', "no prompt."),
        ('{"prompt": "  "}', "no prompt."),
        ('{"prompt": 7}', "“prompt” must be text."),
        ('{"prompt": "a", "messages": []}', "has both"),
        ('{"messages": "a"}', "“messages” must be a list"),
        ('{"messages": "a", "system": "b"}', "“messages” must be a list"),
        ('{"messages": [{"role": "boss", "content": "a"}]}', "“role” must be one of"),
        ('{"prompt": "a", "temperature": 9}', "“temperature” must be a number from 0 to 2."),
        ('{"prompt": "a", "model": "x"}', "unknown column “model”"),
        ('{"prompt": "a", "schema": 7}', "“schema” must be a JSON schema"),
        ('{"prompt": "a", "category": "' + "x" * 81 + '"}', "“category” takes up to 80"),
        ('{"prompt": "a", "reference": "\\u0000"}', "NUL"),
        ('{"prompt": "a\\u0000"}', "NUL"),
        ('{"prompt": "a", "seed": NaN}', "NaN is no JSON"),
        ('{"prompt": "a", "seed": ' + "9" * 400 + "}", "cannot be sent as JSON"),
        ('{"prompt": "\\ud800"}', "cannot be sent as JSON"),
        ("[1]", "must be a JSON object."),
        ('{"prompt": ', "not valid JSON"),
        (b'{"prompt": "\xff"}', "not UTF-8 (byte 13 of the line)."),
    ],
)
def test_a_problem_names_its_row(line: str | bytes, said: str) -> None:
    raw = line if isinstance(line, bytes) else line.encode()
    [problem] = problems(b'{"prompt": "good"}\n' + raw)
    assert problem.startswith("Row 2: ") and said in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The first line must name the columns"),
        ("a,b\n1,2\n", "The first line must name the columns"),
        ("prompt,prompt\n1,2\n", "The first line must name the columns"),
        ("prompt\na,b\n", "Row 1: 2 cells, but the first line names 1 columns."),
        ("prompt,seed\na,x\n", "Row 1: “seed” must be JSON in its cell."),
        ("prompt,extra\na,x\n", "Row 1: unknown column “extra”"),
        ('prompt\n"a" b\n', "Line 2: not valid CSV"),
        ("prompt\n" + "x" * 200_000 + "\n", "Longer texts fit into JSON lines."),
        ("prompt\n", "There is no row in it."),
        (b"prompt\nfine\n\xff\xfe\n", "Line 3: not UTF-8"),
    ],
)
def test_a_csv_that_is_none(text: str | bytes, said: str) -> None:
    assert said in problems(text, is_csv=True)[-1]


def test_all_problems_are_counted_and_the_first_are_told() -> None:
    with pytest.raises(DatasetInvalid) as error:
        read("{}\n" * 50)
    assert len(error.value.problems) == 20 and error.value.told == "50 problems, 30 not shown"
    with pytest.raises(DatasetInvalid) as one:
        read("{}\n")
    assert one.value.told == "1 problem"


@pytest.mark.parametrize("is_csv", [False, True])
def test_a_file_of_any_size_is_refused_before_it_is_read_whole(is_csv: bool) -> None:
    line = b'"' + b"x" * 100_000 + b'"\n' if is_csv else b'{"prompt": "' + b"x" * 100_000 + b'"}\n'
    served = [b"prompt\n"] if is_csv else []

    def endless(most: int) -> bytes:
        served.append(line)
        return served[-1][:most] if len(served) > 2 else served[0]

    with pytest.raises(DatasetInvalid, match="larger than 32 MB"):
        read_rows(endless, is_csv=is_csv)
    assert sum(map(len, served)) < reading.MOST_BYTES + 200_000


def test_a_line_or_a_number_of_rows_without_end() -> None:
    with pytest.raises(DatasetInvalid, match="A line is longer than 1 MB"):
        read_rows(lambda most: b"x" * most, is_csv=False)
    with pytest.raises(DatasetInvalid, match="More than 20,000 rows"):
        read('{"prompt": "a"}\n' * 20_001)


def test_rows_that_lack_the_reference_that_others_have() -> None:
    some = [Row(1, {}, "a"), Row(2, {}), Row(3, {})]
    assert without_reference(some) == [2, 3]
    assert without_reference(some[1:]) == []


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_rows_or_a_problem(raw: bytes, is_csv: bool) -> None:
    try:
        found = read(raw, is_csv=is_csv)
    except DatasetInvalid as error:
        assert error.problems and error.count
    else:
        assert found and all(row.body["messages"] for row in found)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), min_size=1))
def test_any_prompt_is_read_as_it_was_written(prompts: list[str]) -> None:
    lines = "\n".join(json.dumps({"prompt": prompt, "reference": "."}) for prompt in prompts)
    if all(prompt.strip() for prompt in prompts):
        assert [asked(row) for row in read(lines)] == prompts
