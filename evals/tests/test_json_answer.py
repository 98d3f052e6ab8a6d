"""Answers that must be JSON, and schemas by people whom nobody knows."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core.case import Case, Score
from evals.core.json_answer import json_schema, read_json

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "pattern": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


def _score(answer: str, schema: Any) -> Score:
    return json_schema(Case((), answer, answer_schema=schema))


@pytest.mark.parametrize(
    "answer",
    [
        '{"name": "Ada"}',
        '\n```json\n{"name": "Ada"}\n```\n',
        'Here you are:\n```\n{"name": "Ada", "pattern": 1}\n```\nDone.',
    ],
)
def test_bare_or_fenced_it_satisfies_the_schema(answer: str) -> None:
    assert _score(answer, PERSON) == Score(1.0, "Satisfies the schema.")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ('{"name": 5}', "At $.name: 5 is not of type 'string'"),
        ("{}", "At $: 'name' is a required property"),
        ('{"name": "Ada", "age": 3}', "At $: Additional properties"),
        ('{"name": "Ada"', "Not JSON: "),
        ('Sure! {"name": "Ada"}', "Not JSON: "),
        ('```\n{"name": "Ada"}\n```\n```\n{"name": "Bob"}\n```', "Not JSON: "),
        ("", "Not JSON: "),
        ("NaN", "Not JSON: "),
    ],
)
def test_it_does_not_and_the_remark_says_where(answer: str, why: str) -> None:
    score = _score(answer, PERSON)
    assert score.value == 0 and score.why.startswith(why)


@given(documents)
def test_any_document_is_read_and_satisfies_the_schema_that_names_it(document: Any) -> None:
    text = orjson.dumps(document).decode()
    assert read_json(text) == (document, "")
    assert _score(f"```json\n{text}\n```", {"const": document}).value == 1
    assert _score(text, {"not": {"const": document}}).value == 0


@given(documents)
def test_a_schema_may_be_anything(schema: Any) -> None:
    assert _score('{"a": [1, 2]}', schema).value in (None, 0, 1)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "strin"}, "The row's schema is no JSON schema: "),
        ({"$ref": "http://169.254.169.254/latest"}, "refers to 'http://169.254.169.254/latest', which is not in it"),
        ({"$ref": "file:///etc/passwd"}, "which is not in it"),
        ({"$ref": "#/$defs/none"}, "which is not in it"),
        ({"$ref": "#"}, "nested too deeply"),
        ({"properties": {"a": {"pattern": "(a+)+$"}}}, "“pattern”, which is not evaluated"),
        ({"additionalProperties": False, "patternProperties": {"(a+)+$": True}}, "“patternProperties”"),
        ({"unevaluatedProperties": False}, "“unevaluatedProperties”"),
        (
            {
                "$defs": {str(i): {"allOf": [{"$ref": f"#/$defs/{i + 1}"}] * 2} for i in range(60)} | {"60": {}},
                "$ref": "#/$defs/0",
            },
            "more than 50000 steps",
        ),
    ],
)
def test_a_schema_reaches_nothing_and_takes_no_time(schema: Any, why: str) -> None:
    score = _score('{"a": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}', schema)
    assert score.value is None and why in score.why


def test_uniqueness_is_not_looked_for_among_very_many() -> None:
    assert _score(orjson.dumps([{"a": i} for i in range(100)]).decode(), {"uniqueItems": True}).value == 1
    assert "steps" in _score(orjson.dumps([{"a": i} for i in range(5000)]).decode(), {"uniqueItems": True}).why


def test_without_a_schema_there_is_nothing_to_say() -> None:
    assert _score("{}", None) == Score(None, "The row has no schema.")
