"""OpenAI's chat parameters that Relay passes on: which JSON each takes.

A value of another kind is the client's mistake wherever the request goes. Some servers answer it with a 500, which
would count as the deployment's failure.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Shape(NamedTuple):
    """``fits`` is asked of values that are not null; ``words`` ends “must be”."""

    fits: Callable[[Any], bool]
    words: str


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_stop(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(map(_is_text, value)))


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_object, value))


def _are_biases(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(bias, int | float) and not isinstance(bias, bool) for bias in value.values()
    )


TEXT = Shape(_is_text, "text")
BOOLEAN = Shape(lambda value: isinstance(value, bool), "true or false")
OBJECT = Shape(_is_object, "an object")
OBJECTS = Shape(_are_objects, "a list of objects")
CHOICE = Shape(lambda value: isinstance(value, str | dict), "text or an object")
WHOLE = Shape(_is_whole, "a whole number")
SHAPES: Mapping[str, Shape] = {
    "audio": OBJECT,
    "function_call": CHOICE,
    "functions": OBJECTS,
    "logit_bias": Shape(_are_biases, "an object that maps tokens to numbers"),
    "logprobs": BOOLEAN,
    "modalities": Shape(lambda value: isinstance(value, list) and all(map(_is_text, value)), "a list of texts"),
    "parallel_tool_calls": BOOLEAN,
    "prediction": OBJECT,
    "reasoning_effort": TEXT,
    "response_format": OBJECT,
    "seed": WHOLE,
    "service_tier": TEXT,
    "stop": Shape(_is_stop, "text or a list of texts"),
    "store": BOOLEAN,
    "tool_choice": CHOICE,
    "tools": OBJECTS,
    "top_logprobs": WHOLE,
    "user": TEXT,
    "web_search_options": OBJECT,
}
OF_MESSAGES: Mapping[str, Shape] = {"name": TEXT, "tool_call_id": TEXT, "tool_calls": OBJECTS}
OF_PARTS: Mapping[str, Shape] = {"image_url": CHOICE, "input_audio": OBJECT, "refusal": TEXT, "text": TEXT}


def misfit(given: Mapping[str, Any], shapes: Mapping[str, Shape]) -> tuple[str, str] | None:
    """The first field that is not of its shape, and what it must be. Null means “left out”."""
    for name, value in given.items():
        shape = shapes.get(name)
        if shape is not None and value is not None and not shape.fits(value):
            return name, shape.words
    return None
