from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caching.core.keys import (
    LONGEST_QUESTION,
    NOT_PART_OF_THE_ANSWER,
    entry_id,
    exact_key,
    semantic_scope,
    semantic_text,
)

BODY: dict[str, Any] = {
    "model": "local",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is tea?"}],
    "temperature": 0.2,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), JSON, max_size=5)


def key(body: dict[str, Any], tenant: str = "acme", signature: str = "demo@3", scope: str = "") -> str:
    return exact_key(tenant=tenant, signature=signature, body=body, scope=scope)


def scope_of(body: dict[str, Any], signature: str = "demo@3", scope: str = "") -> bytes:
    return semantic_scope(signature=signature, body=body, scope=scope)


def test_a_key_carries_its_tenant_as_hash_tag() -> None:
    name, digest = key(BODY).rsplit(":", 1)
    assert name == "relay:{acme}:exact"
    assert len(digest) == 64


@given(one=BODIES, other=BODIES)
def test_bodies_share_a_key_only_if_they_are_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (key(one) == key(other)) == (typed(one) == typed(other))


@given(body=BODIES, field=st.sampled_from(NOT_PART_OF_THE_ANSWER), value=JSON)
def test_how_an_answer_travels_is_not_part_of_the_key(body: dict[str, Any], field: str, value: Any) -> None:
    assert key({**body, field: value}) == key(body)


@given(body=BODIES)
def test_the_order_of_fields_does_not_matter(body: dict[str, Any]) -> None:
    assert key(dict(reversed(body.items()))) == key(body)


@given(field=st.text("abcdefghij", min_size=1), value=JSON)
def test_any_other_field_changes_key_and_scope(field: str, value: Any) -> None:
    changed = {**BODY, field: value}
    assert key(changed) != key(BODY)
    assert scope_of(changed) != scope_of(BODY)


def test_tenant_plan_and_api_key_part_the_keys() -> None:
    keys = {
        key(BODY),
        key(BODY, tenant="globex"),
        key(BODY, signature="demo@4"),
        key(BODY, scope="k1"),
        key(BODY, signature="demo@3k1"),
    }
    assert len(keys) == 5
    assert len({scope_of(BODY), scope_of(BODY, signature="demo@4"), scope_of(BODY, scope="k1")}) == 3


def test_a_scope_holds_all_but_the_question() -> None:
    def asking(**last: Any) -> dict[str, Any]:
        return {**BODY, "messages": [BODY["messages"][0], {"role": "user", **last}]}

    assert scope_of(asking(content="Tea?")) == scope_of(asking(content=[{"type": "text", "text": "Coffee?"}]))
    assert scope_of(asking(content="Tea?", name="eve")) != scope_of(asking(content="Tea?"))
    assert scope_of({**BODY, "messages": BODY["messages"][1:]}) != scope_of(BODY)
    assert "content" in BODY["messages"][-1]


def test_one_entry_a_question_and_scope() -> None:
    ids = {
        entry_id(scope=b"a" * 32, text="x"),
        entry_id(scope=b"b" * 32, text="x"),
        entry_id(scope=b"a" * 32, text="y"),
    }
    assert len(ids) == 3
    assert entry_id(scope=b"a" * 32, text="x") in ids


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, "What is tea?"),
        ({"tools": [], "functions": None, "n": 1, "logprobs": False, "modalities": ["text"]}, "What is tea?"),
        ({"response_format": {"type": "text"}}, "What is tea?"),
        ({"response_format": {"type": "json_object"}}, None),
        ({"tools": [{"type": "function"}]}, None),
        ({"functions": [{}]}, None),
        ({"n": 2}, None),
        ({"logprobs": True}, None),
        ({"audio": {"voice": "a"}}, None),
        ({"modalities": ["text", "audio"]}, None),
        ({"web_search_options": {}}, None),
        ({"messages": []}, None),
        ({"messages": None}, None),
        ({"messages": "tea"}, None),
        ({"messages": ["tea"]}, None),
        ({"messages": [{"role": "assistant", "content": "tea"}]}, None),
    ],
)
def test_only_a_plain_question_may_be_answered_by_meaning(changed: dict[str, Any], text: str | None) -> None:
    assert semantic_text({**BODY, **changed}) == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "What"}, {"type": "text", "text": "is tea?"}], "What\nis tea?"),
        ([{"type": "text", "text": "What"}, {"type": "image_url", "image_url": {"url": "x"}}], None),
        ([{"type": "text", "text": "What", "cache_control": {}}], None),
        ([{"type": "text", "text": 7}], None),
        (["What"], None),
        ([], None),
        (None, None),
        (7, None),
        (" \n", None),
        ("a\0b", None),
        ("x" * LONGEST_QUESTION, "x" * LONGEST_QUESTION),
        ("x" * (LONGEST_QUESTION + 1), None),
    ],
)
def test_the_question_is_the_last_message_in_text_only(content: Any, text: str | None) -> None:
    assert semantic_text({"messages": [{"role": "user", "content": content}]}) == text


def typed(value: Any) -> Any:
    """True == 1 in Python, not in a request."""
    if isinstance(value, dict):
        return {name: typed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    return type(value), value
