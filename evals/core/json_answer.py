"""Is the answer JSON, and does it satisfy the row's schema (JSON Schema, draft 2020-12)?

Schemas come from whoever uploads a dataset, so nothing in one may reach the network or take long: a reference leads
only to a place within the schema, what is evaluated is counted and bounded, and a schema that needs a regular
expression (``pattern``, ``patternProperties``) or ``unevaluated…`` is not judged by, which the score says.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from evals.core.case import Case, Score

MOST_STEPS = 50_000  # keywords evaluated, some 0.3 s; an answer of 1,000 objects of ten members takes about 30,000
NOT_SUPPORTED = ("pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties")
_FENCED = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
_WHY = 200  # characters

Rule = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class Unsupported(Exception):
    """The schema asks for what is not evaluated here."""


def json_schema(case: Case) -> Score:
    if case.answer_schema is None:
        return Score(None, "The row has no schema.")
    document, fault = read_json(case.answer)
    if fault:
        return Score(0.0, fault)
    return _validated(document, case.answer_schema)


def read_json(answer: str) -> tuple[Any, str]:
    """The document and no fault, or None and what is wrong. The whole answer, or its only fenced block."""
    blocks = _FENCED.findall(answer)
    try:
        return orjson.loads(blocks[0] if len(blocks) == 1 else answer), ""
    except orjson.JSONDecodeError as error:
        return None, f"Not JSON: {error.msg} at line {error.lineno}."


def _validated(document: Any, schema: Any) -> Score:
    try:
        Draft202012Validator.check_schema(schema)
        fault = next(_counting()(schema, registry=Registry()).iter_errors(document), None)
    except SchemaError as error:
        return Score(None, f"The row's schema is no JSON schema: {error.message[:_WHY]}")
    except Unresolvable as error:
        return Score(None, f"The row's schema refers to {error.ref[:_WHY]!r}, which is not in it.")
    except Unsupported as error:
        return Score(None, str(error))
    except RecursionError:
        return Score(None, "The row's schema or the answer is nested too deeply, perhaps without end.")
    if fault is None:
        return Score(1.0, "Satisfies the schema.")
    return Score(0.0, f"At {fault.json_path[:_WHY]}: {fault.message[:_WHY]}")


def _counting() -> Any:
    """A validator for one document. To see that items are unique may take a comparison for each pair of them."""
    left = MOST_STEPS

    def bounded(word: str, rule: Rule) -> Rule:
        def counted(validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]) -> Any:
            nonlocal left
            left -= 1 if word != "uniqueItems" or not isinstance(instance, list) else 1 + len(instance) ** 2 // 100
            if left < 0:
                raise Unsupported(f"The schema and the answer need more than {MOST_STEPS} steps to compare.")
            if found := [name for name in NOT_SUPPORTED if name in schema]:
                raise Unsupported(f"The schema has “{found[0]}”, which is not evaluated here.")
            return rule(validator, value, instance, schema)

        return counted

    rules = Draft202012Validator.VALIDATORS
    return extend(Draft202012Validator, {word: bounded(word, rule) for word, rule in rules.items()})
