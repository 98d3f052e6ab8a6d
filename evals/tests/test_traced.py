"""What a scorer is given of a trace."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core.case import Case
from evals.core.traced import case_of, schema_in

MESSAGES = [{"role": "user", "content": "What?"}]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, {}),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, {}),
        ({"type": "json_schema", "json_schema": {"schema": "no schema"}}, None),
        ({"type": "json_schema", "json_schema": 5}, None),
    ],
)
def test_the_schema_is_the_one_that_the_client_named(wanted: Any, schema: Any) -> None:
    asked = {"messages": MESSAGES, "response_format": wanted}
    assert schema_in(asked) == schema
    assert case_of(asked, "Yes.", "chat") == Case(MESSAGES, "Yes.", answer_schema=schema, category="chat")


@pytest.mark.parametrize("asked", [None, [], {}, {"messages": []}, {"messages": "hello"}, {"messages": ["hello"]}])
def test_without_a_conversation_there_is_nothing_to_score(asked: Any) -> None:
    assert case_of(asked, "Yes.") is None


@given(JSON, JSON)
def test_whatever_a_client_sent_can_be_read(messages: Any, wanted: Any) -> None:
    case = case_of({"messages": messages, "response_format": wanted}, "Yes.")
    assert case is None or case.messages == messages
