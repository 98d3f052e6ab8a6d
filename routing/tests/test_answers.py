from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing import answers
from routing.answers import Usage
from routing.core.features import estimate_tokens
from routing.core.usage import Asked
from routing.providers.base import ProviderError

WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "id": WORDS.filter(bool),
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": WORDS, "arguments": WORDS}),
        }
    )
    | st.fixed_dictionaries(
        {"type": st.just("custom"), "custom": st.fixed_dictionaries({"name": WORDS, "input": WORDS})}
    ),
    min_size=1,
    max_size=3,
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | WORDS}, optional={"tool_calls": CALLS, "refusal": WORDS}
)
COMPLETIONS = st.fixed_dictionaries(
    {
        "id": WORDS,
        "created": st.integers(0, 2**31),
        "model": WORDS,
        "object": st.just("chat.completion"),
        "choices": st.lists(
            st.fixed_dictionaries(
                {
                    "message": MESSAGES,
                    "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
                },
                optional={"logprobs": st.just({"content": [{"token": "a", "logprob": -0.5}]})},
            ),
            min_size=1,
            max_size=3,
        ).map(lambda choices: [{"index": index, **choice} for index, choice in enumerate(choices)]),
        "usage": st.just({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}),
    }
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.floats() | WORDS
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner), max_leaves=8)
DELTAS = st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "refusal"]), ANYTHING)
ODD_CALLS = st.lists(st.dictionaries(st.sampled_from(["index", "id", "function", "type"]), ANYTHING) | ANYTHING)
ODD_CHUNKS = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries(
                {"delta": DELTAS | ODD_CALLS.map(lambda calls: {"tool_calls": calls}) | ANYTHING},
                optional={"index": ANYTHING, "finish_reason": ANYTHING, "logprobs": ANYTHING},
            )
            | ANYTHING
        )
    },
    optional={"usage": ANYTHING, "id": ANYTHING},
)


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    return orjson.dumps({"id": "x", "choices": [{"index": index, "delta": delta, "finish_reason": finish}], **more})


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@given(COMPLETIONS)
def test_an_answer_replayed_as_a_stream_is_the_same_answer(answer: dict[str, Any]) -> None:
    events = answers.replay(answer, include_usage=True)
    assert without_nulls(answers.assemble(events)) == without_nulls(answer)
    assert answers.is_usage(events[-1])
    assert not any(answers.is_usage(event) for event in answers.replay(answer, include_usage=False))
    for event in events:
        answers.glance(event)


@given(st.lists(ODD_CHUNKS.map(orjson.dumps) | ANYTHING.map(orjson.dumps) | st.binary(), max_size=6))
def test_whatever_a_provider_streams_can_be_put_together_billed_and_replayed(events: list[bytes]) -> None:
    whole = answers.assemble(events)
    usage = answers.usage_of(whole, Asked(5))
    assert usage.tokens_in >= 0
    assert usage.tokens_out >= 0
    assert answers.is_complete(whole) in (True, False)
    for event in [*events, *answers.replay(whole, include_usage=True)]:
        answers.is_usage(event)
    for event in events:
        try:
            answers.has_content(answers.read_chunk(event))
        except ProviderError as error:
            assert error.retryable


@given(ANYTHING.map(orjson.dumps) | st.binary() | st.dictionaries(st.just("choices"), ANYTHING).map(orjson.dumps))
def test_a_whole_answer_is_one_or_is_refused(raw: bytes) -> None:
    with pytest.raises(ProviderError) as refused:
        answers.read_completion(raw)
    assert refused.value.code == "garbage"


def test_pieces_of_text_tool_calls_and_choices_are_joined() -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}
    events = [
        chunk({"role": "assistant", "content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({"content": "Other"}, index=1),
        chunk({"tool_calls": [call]}),
        chunk(
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}, {"index": 1, "function": {"name": "two"}}]}
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        chunk({}, "tool_calls"),
        chunk({}, "stop", index=1),
        b"not json",
        orjson.dumps({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}),
    ]
    whole = answers.assemble(events)
    assert whole["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}},
                    {"function": {"name": "two"}},
                ],
            },
            "finish_reason": "tool_calls",
        },
        {"index": 1, "message": {"role": "assistant", "content": "Other"}, "finish_reason": "stop"},
    ]
    assert answers.is_complete(whole)
    assert answers.usage_of(whole, Asked(99)) == Usage(1, 2, "provider")


def test_an_answer_that_was_cut_or_filtered_is_not_complete() -> None:
    assert not answers.is_complete(answers.assemble([chunk({"content": "Hel"})]))
    assert not answers.is_complete(answers.assemble([chunk({"content": "Hel"}, "content_filter")]))
    assert not answers.is_complete(answers.assemble([]))


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": "9", "completion_tokens": 5},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 2**31, "completion_tokens": 1},
    ],
)
def test_usage_that_is_missing_or_nonsense_is_counted_and_marked(usage: Any) -> None:
    answer = {"choices": [{"message": {"content": "four words of text"}}], "usage": usage}
    assert answers.usage_of(answer, Asked(7)) == Usage(7, estimate_tokens("four words of text"), "estimated")


def test_an_error_inside_a_stream_is_noticed_at_a_glance() -> None:
    answers.glance(chunk({"content": 'the word "error"'}))
    for event in (b'{"error": {"message": "boom"}}', b"[]", b"", b"{"):
        with pytest.raises(ProviderError):
            answers.glance(event)


def test_a_whole_answer_is_read() -> None:
    answer = {"choices": [{"message": {"content": "Hi"}}], "x": 1}
    assert answers.read_completion(orjson.dumps(answer)) == answer


def test_a_role_alone_is_no_content() -> None:
    assert not answers.has_content({"choices": [{"delta": {"role": "assistant", "content": ""}}, None]})
    assert answers.has_content({"choices": [{"delta": {"content": "a"}}]})
    assert answers.has_content({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    assert not answers.is_usage(b'{"usage" "choices"}')
