from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from routing.core.features import TOKENS_PER_IMAGE, TOKENS_PER_MESSAGE, estimate_input, estimate_tokens


def body(content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **more}


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(one: str, other: str) -> None:
    assert estimate_tokens(one + other) >= estimate_tokens(one) >= 1


def test_other_scripts_count_more_than_english() -> None:
    assert estimate_tokens("東京都は日本の首都") > estimate_tokens("It is hot")


def test_input_is_the_sum_of_messages_parts_images_tools_and_calls() -> None:
    text = body("x" * 40)
    assert estimate_input(text) == TOKENS_PER_MESSAGE + 11
    assert estimate_input(body(None)) == TOKENS_PER_MESSAGE
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert (
        estimate_input(body([{"type": "text", "text": "x" * 40}, image])) == TOKENS_PER_MESSAGE + 11 + TOKENS_PER_IMAGE
    )
    tools = [{"type": "function", "function": {"name": "lookup" * 10}}]
    assert estimate_input({**text, "tools": tools}) > estimate_input(text) + 15
    calling = {"messages": [{"role": "assistant", "content": None, "tool_calls": tools}]}
    assert estimate_input(calling) > TOKENS_PER_MESSAGE + 15
