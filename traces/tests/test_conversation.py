from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from traces.viewer.conversation import conversation
from traces.viewer.rawjson import LONGEST_STRING, highlighted, pretty
from traces.viewer.timeline import waterfall

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["[1]", "{"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["messages", "choices", "message", "content", "role", "type", "text", "id", "parent", "name"]
            )
            | st.sampled_from(["tool_calls", "function", "arguments", "start_ms", "duration_ms", "image_url", "url"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON, JSON)
def test_nothing_that_was_recorded_breaks_the_page(request: Any, response: Any) -> None:
    conversation(request, response)
    conversation({"messages": [request]}, {"choices": [response]})
    waterfall(request, 10.0, [1])
    assert "<script" not in highlighted(pretty(response))


@given(JSON)
def test_bars_of_the_timeline_stay_inside_it(spans: Any) -> None:
    for row in waterfall([spans, {"id": "1", "parent": "1"}, {"id": "2"}], 10.0, []):
        assert 0 <= row.left <= 100
        assert row.left + row.width <= 100.1


def test_each_kind_of_part_reads_as_what_it_is() -> None:
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 2_000}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        {"type": "image_url", "image_url": {"url": "http://[broken"}},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": "A" * 50}},
        {"type": "refusal", "refusal": "No."},
        {"type": "hologram"},
    ]
    call = {"name": "get_order", "arguments": '{"id": "7"}'}
    answer = {"refusal": "I can't.", "tool_calls": [{"function": call}]}
    asked, answered = conversation(
        {"messages": [{"role": "user", "content": parts}]}, {"choices": [{"message": answer}]}
    )

    assert [(block.kind, block.title, block.body) for block in asked.blocks] == [
        ("text", "", "Look:"),
        ("media", "Image", "image/png 2 KB"),
        ("media", "Image", "example.com"),
        ("media", "Image", "elsewhere"),
        ("media", "Audio", "wav 50 characters"),
        ("refusal", "Refusal", "No."),
        ("media", "hologram", ""),
    ]
    assert [(block.kind, block.title) for block in answered.blocks] == [("refusal", "Refusal"), ("call", "get_order")]
    assert '"id": "7"' in answered.blocks[1].body


def test_long_strings_are_cut_and_say_so() -> None:
    assert "100 characters more in the download" in pretty({"image": "A" * (LONGEST_STRING + 100)})
    assert len(pretty(["word " * 700] * 100)) < 121_000


def test_a_prompt_and_texts_to_embed_are_read_as_the_users_words() -> None:
    def said(request: Any) -> list[str]:
        return [block.body for message in conversation(request, None) for block in message.blocks]

    assert said({"prompt": "one"}) == said({"input": "one"}) == ["one"]
    assert said({"input": ["one", "two"]}) == ["one", "two"]
    assert said({"input": [1, 2]}) == said({"input": {}}) == said({}) == []
    assert said({"messages": [{"role": "user", "content": "talk"}], "input": "x"}) == ["talk"]
