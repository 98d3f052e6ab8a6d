"""OpenAI's messages as turns, whatever clients send."""

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.request import ROLES
from routing.providers.base import ProviderError
from routing.providers.conversation import (
    Call,
    Image,
    Result,
    Text,
    read_conversation,
    read_schema,
    read_stops,
    read_tool_choice,
    read_tools,
    require_one_answer,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PART = st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=5)}) | st.fixed_dictionaries(
    {"type": st.sampled_from(["image_url", "input_audio"])}, optional={"image_url": JSON}
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(ROLES), "content": st.none() | st.text(max_size=5) | st.lists(PART, max_size=3)},
    optional={"tool_calls": JSON, "tool_call_id": JSON},
)


@given(st.lists(MESSAGE, max_size=6))
def test_turns_alternate_and_hold_something_whatever_is_sent(messages: list[dict[str, Any]]) -> None:
    try:
        conversation = read_conversation(messages)
    except ProviderError as error:
        assert not error.retryable and error.status == 400
        return
    roles = [turn.role for turn in conversation.turns]
    assert all(one != other for one, other in itertools.pairwise(roles))
    assert all(turn.parts for turn in conversation.turns)
    assert all(part.text for turn in conversation.turns for part in turn.parts if isinstance(part, Text))


@given(JSON)
def test_odd_parameters_are_the_clients_mistake(value: Any) -> None:
    for read, name in (
        (read_tools, "tools"),
        (read_tool_choice, "tool_choice"),
        (read_stops, "stop"),
        (read_schema, "response_format"),
        (require_one_answer, "n"),
    ):
        try:
            read({name: value})
        except ProviderError as error:
            assert (error.retryable, error.status, error.param) == (False, 400, name)


def test_a_conversation_with_tools_and_images() -> None:
    inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    linked = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    found = read_conversation(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, inline, linked]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
            {"role": "user", "content": "Well?"},
            {"role": "developer", "content": "And kind."},
        ]
    )
    assert found.system == ["Be brief.", "And kind."]
    assert [(turn.role, turn.parts) for turn in found.turns] == [
        ("user", [Text("What is this?"), Image("image/png", "AAAA"), Image(url="https://example.com/a.png")]),
        ("assistant", [Call("c1", "look", {"at": 1})]),
        ("user", [Result("c1", "a cat"), Text("Well?")]),
    ]


@pytest.mark.parametrize("url", ["data:image/png,AAAA", "data:image/png;base64", 5, None])
def test_an_image_that_is_none_is_refused(url: Any) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(ProviderError):
        read_conversation([{"role": "user", "content": [part]}])


@pytest.mark.parametrize("arguments", ["[1]", "{", "5"])
def test_a_call_needs_an_object_of_arguments(arguments: str) -> None:
    call = {"id": "c1", "function": {"name": "look", "arguments": arguments}}
    with pytest.raises(ProviderError, match="arguments"):
        read_conversation([{"role": "assistant", "tool_calls": [call]}])


def test_a_schema_is_found() -> None:
    schema = {"type": "object"}
    assert read_schema({"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}) == schema
    assert read_schema({"response_format": {"type": "text"}}) is read_schema({}) is None
    assert orjson.dumps(read_stops({"stop": "END"})) == b'["END"]'
