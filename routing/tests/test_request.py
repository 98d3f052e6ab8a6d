from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.features import estimate_input
from routing.core.parameters import SHAPES
from routing.core.request import (
    INTEGERS,
    NUMBERS,
    PROMPT_LINE,
    CacheControl,
    Called,
    ChatRequest,
    InvalidRequest,
    checked_key,
    parse_cache_header,
    parse_chat,
    prompt_line,
)

HELLO = {"role": "user", "content": "Hello"}
FIELDS = ("model", "messages", "stream", "stream_options", "metadata", *NUMBERS, *INTEGERS, *SHAPES)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
PARTS = st.lists(ANYTHING | st.fixed_dictionaries({"type": st.just("text") | SCALARS}, optional={"text": SCALARS}))
MESSAGES = st.lists(
    ANYTHING
    | st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool"]) | SCALARS},
        optional={"content": st.text() | PARTS | ANYTHING},
    )
)
BODIES = st.fixed_dictionaries(
    {"model": st.just("m") | SCALARS, "messages": MESSAGES | ANYTHING}, optional=dict.fromkeys(FIELDS[2:], ANYTHING)
)


def parse(body: Any, **more: Any) -> ChatRequest:
    return parse_chat(orjson.dumps(body), Called("r", **more))


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [HELLO], **more}


def problem_of(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        parse(body)
    return refused.value


@given(st.binary() | st.text().map(str.encode) | BODIES.map(orjson.dumps) | ANYTHING.map(orjson.dumps), st.text())
def test_whatever_comes_is_a_request_or_the_clients_mistake(raw: bytes, header: str) -> None:
    try:
        request = parse_chat(raw, Called("r", cache=parse_cache_header(header)))
    except InvalidRequest as error:
        assert error.param is None or isinstance(error.param, str)
        return
    assert estimate_input(request.body) > 0
    assert len(prompt_line(request.body)) <= PROMPT_LINE
    assert b"\\u0000" not in orjson.dumps(request.body).replace(b"\\\\", b"")


@given(
    st.dictionaries(
        st.text().filter(lambda name: name not in FIELDS and "\0" not in name), st.integers(0, 9) | st.booleans()
    )
)
def test_what_is_not_interpreted_is_kept_unchanged(extra: dict[str, Any]) -> None:
    assert parse(chat(**{**extra})).body == chat(**extra)


def test_a_request_is_read() -> None:
    body = chat(
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=10,
        temperature=1,
        metadata={"team": "a", "job": "x"},
    )
    request = parse(body, cache=parse_cache_header("no-store, max-age=60"), metadata={"job": "batch"})
    assert (request.model, request.stream, request.include_usage, request.max_tokens) == ("m", True, True, 10)
    assert request.metadata == {"team": "a", "job": "batch"}
    assert request.cache == CacheControl(lookup=False, store=False, max_age_s=60)


def test_the_newer_name_of_the_limit_counts() -> None:
    assert parse(chat(max_tokens=10, max_completion_tokens=20)).max_tokens == 20
    assert parse(chat(max_tokens=10, max_completion_tokens=None)).max_tokens == 10
    assert parse(chat()).max_tokens is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        ({"messages": [HELLO]}, "model"),
        (chat(model=""), "model"),
        (chat(model=7), "model"),
        (chat(messages=None), "messages"),
        (chat(messages=[]), "messages"),
        (chat(messages=["hi"]), "messages[0]"),
        (chat(messages=[HELLO, {"role": "robot", "content": ""}]), "messages[1].role"),
        (chat(messages=[{"role": [], "content": ""}]), "messages[0].role"),
        (chat(messages=[{"role": "user"}]), "messages[0].content"),
        (chat(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
        (chat(messages=[{"role": "user", "content": ["x"]}]), "messages[0].content[0]"),
        (chat(messages=[{"role": "user", "content": [{"type": 1}]}]), "messages[0].content[0]"),
        (chat(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text"),
        (chat(stream="yes"), "stream"),
        (chat(stream=True, stream_options=[]), "stream_options"),
        (chat(stream_options={}), "stream_options"),
        (chat(stream=True, stream_options={"include_usage": "yes"}), "stream_options.include_usage"),
        (chat(stop=5), "stop"),
        (chat(stop=["a", None]), "stop"),
        (chat(tools={"type": "function"}), "tools"),
        (chat(tools=["f"]), "tools"),
        (chat(tool_choice=[]), "tool_choice"),
        (chat(response_format="json"), "response_format"),
        (chat(logit_bias=[1]), "logit_bias"),
        (chat(logit_bias={"a": True}), "logit_bias"),
        (chat(logprobs=1), "logprobs"),
        (chat(top_logprobs=True), "top_logprobs"),
        (chat(modalities=["text", 1]), "modalities"),
        (chat(seed=1.5), "seed"),
        (chat(user=7), "user"),
        (chat(messages=[{"role": "user", "content": "x", "name": 5}]), "messages[0].name"),
        (chat(messages=[{"role": "tool", "content": "x", "tool_call_id": 5}]), "messages[0].tool_call_id"),
        (chat(messages=[{"role": "assistant", "tool_calls": ["f"]}]), "messages[0].tool_calls"),
        (
            chat(messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
            "messages[0].content[0].image_url",
        ),
        (
            chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": 5}]}]),
            "messages[0].content[0].image_url",
        ),
        (chat(metadata=[]), "metadata"),
        (chat(metadata={"a": 1}), "metadata"),
        (chat(temperature=2.1), "temperature"),
        (chat(temperature=True), "temperature"),
        (chat(top_p="1"), "top_p"),
        (chat(max_tokens=0), "max_tokens"),
        (chat(max_tokens=10**7), "max_tokens"),
        (chat(max_tokens=1.5), "max_tokens"),
        (chat(max_completion_tokens=True), "max_completion_tokens"),
        (chat(n=129), "n"),
        (chat(user="a\0"), "user"),
        (chat(messages=[HELLO, {"role": "user", "content": "\0"}]), "messages[1].content"),
        (chat(tools=[{"x": {"a\0b": 1}}]), "tools[0].x"),
        (chat(**{"us\0er": 1}), "user"),
    ],
)
def test_each_mistake_names_its_field(body: Any, param: str | None) -> None:
    assert problem_of(body).param == param


def test_an_escaped_backslash_before_u0000_is_ordinary_text() -> None:
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "u"}}]
    messages = [
        {"role": "user", "content": parts},
        {"role": "user", "content": "the escape \\u0000"},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    assert parse(chat(messages=messages, seed=1)).body["messages"] == messages
    assert parse(chat(other=["\\u0000", 1, None])).body["other"] == ["\\u0000", 1, None]


def test_every_parameter_of_the_right_kind_is_kept() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = chat(
        messages=[
            {"role": "user", "name": "ann", "content": [{"type": "image_url", "image_url": "https://a.example/b.png"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "17"},
        ],
        tools=[{"type": "function", "function": {"name": "f"}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        stop=["END"],
        logit_bias={"50256": -100, "11": 0.5},
        logprobs=True,
        top_logprobs=5,
        seed=-7,
        modalities=["text"],
        service_tier=None,
        user="u",
    )
    assert parse(body).body == body


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b"{}{}", b'{"a": NaN}', b"[" * 5000, b'{"a":' * 300 + b"1" + b"}" * 300]
)
def test_what_is_not_json_or_nested_too_deep_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_chat(raw, Called("r"))
    assert refused.value.param is None


@pytest.mark.parametrize(
    ("header", "control"),
    [
        ("", CacheControl()),
        ("No-Cache", CacheControl(lookup=False)),
        (" , max-age=0,", CacheControl(max_age_s=0)),
    ],
)
def test_the_cache_header(header: str, control: CacheControl) -> None:
    assert parse_cache_header(header) == control


@pytest.mark.parametrize("header", ["off", "max-age=", "max-age=-1", "max-age=1e3", "max-age=" + "9" * 30])
def test_an_unknown_cache_header_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_cache_header(header)
    assert refused.value.param == "x-relay-cache"


def test_the_prompt_line_is_the_start_of_the_last_user_message() -> None:
    image = {"type": "image_url", "image_url": {"url": "u"}}
    parts = [{"type": "text", "text": "What is\n this"}, image, {"type": "text", "text": "?"}]
    messages = [HELLO, {"role": "user", "content": parts}, {"role": "assistant", "content": "A cat"}]
    assert prompt_line({"messages": messages}) == "What is this ?"
    assert prompt_line({"messages": [{"role": "user", "content": "x " * 5000}]}) == ("x " * 100)
    assert prompt_line({"messages": [{"role": "system", "content": "x"}]}) == ""
    assert prompt_line(ChatRequest.unreadable(Called("r")).body) == ""


@pytest.mark.parametrize("key", ["x" * 256, "schön", "a\nb"])
def test_an_idempotency_key_that_cannot_be_one_is_refused(key: str) -> None:
    assert checked_key("order-17") == "order-17" and checked_key("") == ""
    with pytest.raises(InvalidRequest) as refused:
        checked_key(key)
    assert refused.value.param == "Idempotency-Key"
