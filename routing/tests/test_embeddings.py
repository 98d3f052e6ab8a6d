"""The pure half of embeddings and infer: what may be asked, and vectors in either encoding."""

import struct
from base64 import b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.embeddings import (
    MOST_INPUTS,
    NotEmbeddings,
    encoded,
    estimate_inputs,
    input_line,
    inputs_of,
    parse_embeddings,
    summary,
)
from routing.core.infer import parse_infer
from routing.core.request import Called, InvalidRequest
from routing.tests.test_request import ANYTHING

TOKENS = st.lists(st.integers(0, 2**31 - 1), min_size=1)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
INPUTS = TEXTS | st.lists(TEXTS, min_size=1) | TOKENS | st.lists(TOKENS, min_size=1)
FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1)


def ask(**body: Any) -> Any:
    return parse_embeddings(orjson.dumps({"model": "m", "input": "text", **body}), Called("r", "embeddings"))


def problem_of(**body: Any) -> str | None:
    with pytest.raises(InvalidRequest) as refused:
        ask(**body)
    return refused.value.param


@given(INPUTS)
def test_every_form_of_input_is_taken_and_counted(given: Any) -> None:
    request = ask(input=given)
    single = isinstance(given, str) or isinstance(given[0], int)
    assert inputs_of(request.body) == ([given] if single else given)
    assert estimate_inputs(request.body) > 0
    assert len(input_line(request.body)) <= 200


@given(ANYTHING, ANYTHING, ANYTHING)
def test_whatever_comes_is_a_request_or_the_clients_mistake(given: Any, encoding: Any, dimensions: Any) -> None:
    try:
        request = ask(input=given, encoding_format=encoding, dimensions=dimensions)
    except InvalidRequest as error:
        assert error.param is None or isinstance(error.param, str)
        return
    assert estimate_inputs(request.body) > 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": {}}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", 5]}, "input[1]"),
        ({"input": ["x"] * (MOST_INPUTS + 1)}, "input"),
        ({"input": [1] * 300_001}, "input"),
        ({"input": [[1] * 150_001] * 2}, "input"),
        ({"input": [1, "a"]}, "input"),
        ({"input": [1, True]}, "input"),
        ({"input": [-1]}, "input"),
        ({"input": [2**31]}, "input"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": [[1], "a"]}, "input[1]"),
        ({"input": [None]}, "input[0]"),
        ({"input": ["a", "b\0"]}, "input[1]"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "8"}, "dimensions"),
        ({"user": 5}, "user"),
    ],
)
def test_a_wrong_field_is_named(body: dict[str, Any], param: str) -> None:
    assert problem_of(**body) == param


def test_a_list_of_tokens_has_no_line() -> None:
    assert input_line({"input": [1, 2]}) == ""
    assert input_line({}) == ""


def answer(*vectors: Any) -> dict[str, Any]:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}}


@given(st.lists(FLOATS, min_size=1, max_size=4))
def test_a_vector_is_the_same_in_both_encodings(vectors: list[list[float]]) -> None:
    packed = encoded(answer(*vectors), inputs=len(vectors), wanted="base64")
    assert [item["embedding"] for item in encoded(packed, inputs=len(vectors), wanted="float")["data"]] == vectors
    assert encoded(packed, inputs=len(vectors), wanted="base64") == packed
    assert encoded(answer(*vectors), inputs=len(vectors), wanted=None) == answer(*vectors)
    for one in (packed, answer(*vectors)):
        told = summary(one)
        assert (told["vectors"], told["dimensions"]) == (len(vectors), len(vectors[0]))
        assert "data" not in told


def test_vectors_come_back_in_the_order_of_the_inputs() -> None:
    shuffled = answer([1.0], [2.0])
    shuffled["data"].reverse()
    assert encoded(shuffled, inputs=2, wanted="float") == answer([1.0], [2.0])


TWO_AT_ONE_PLACE = {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]}


@pytest.mark.parametrize("wanted", ["float", "base64"])
@pytest.mark.parametrize(
    "garbage",
    [
        None,
        [],
        {},
        {"data": {}},
        {"data": ["text", "text"]},
        {"data": [{"index": 0, "embedding": [1.0]}]},
        TWO_AT_ONE_PLACE,
        answer([1.0], "not base64!"),
        answer([1.0], b64encode(b"12345").decode()),
        answer([1.0], ["a"]),
        answer([1.0], None),
        answer([1.0], 5),
    ],
)
def test_what_is_no_list_of_embeddings_is_refused(garbage: Any, wanted: str) -> None:
    with pytest.raises(NotEmbeddings):
        encoded(garbage, inputs=2, wanted=wanted)


def test_numbers_too_large_for_base64_are_refused() -> None:
    with pytest.raises(NotEmbeddings):
        encoded(answer([1e300]), inputs=1, wanted="base64")
    with pytest.raises(NotEmbeddings):
        encoded(answer([10**400]), inputs=1, wanted="float")
    assert struct.calcsize("<f") == 4


def infer(**body: Any) -> Any:
    return parse_infer(orjson.dumps(body), Called("r", "infer"))


def test_a_prompt_is_a_chat_of_one_message() -> None:
    request = infer(prompt="hello", max_tokens=9, model="m", policy="p")
    assert request.body == {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}
    assert (request.model, request.policy, request.max_tokens, request.kind) == ("m", "p", 9, "infer")
    assert request.asked == {"prompt": "hello", "max_tokens": 9, "model": "m", "policy": "p"}


def test_only_the_prompt_is_needed() -> None:
    request = infer(prompt="hello", max_tokens=None, model=None)
    assert (request.model, request.policy, request.max_tokens) == ("", "", None)
    assert request.body == {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": ["hi"]}, "prompt"),
        ({"prompt": "a\0b"}, "prompt"),
        ({"prompt": "hi", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "hi", "max_tokens": "9"}, "max_tokens"),
        ({"prompt": "hi", "model": ""}, "model"),
        ({"prompt": "hi", "policy": 5}, "policy"),
        ({"prompt": "hi", "stream": True}, "stream"),
        ({"prompt": "hi", "messages": []}, "messages"),
    ],
)
def test_a_wrong_field_of_infer_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        infer(**body)
    assert refused.value.param == param
