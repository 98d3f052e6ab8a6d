from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.tasks import PART, PLAIN, TASKS, task_of

ROLES = st.sampled_from(["system", "user", "assistant"])
PARTS = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}), st.just({"type": "image_url", "image_url": {}})
)
MESSAGES = st.fixed_dictionaries({"role": ROLES, "content": st.none() | st.text() | st.lists(PARTS)})


def user(said: Any) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": "Write python."}, {"role": "user", "content": said}]}


@given(
    st.dictionaries(st.sampled_from(["task", "priority"]), st.text() | st.sampled_from([*TASKS, "speed"])),
    st.fixed_dictionaries({}, optional={"messages": st.lists(MESSAGES)}),
)
def test_every_request_has_one_task_and_says_why(metadata: dict[str, str], body: dict[str, Any]) -> None:
    task = task_of(metadata, body)
    assert task.name in TASKS and task.why.endswith(".")
    assert metadata.get("task") not in TASKS or task.name == metadata["task"]


@given(st.text(alphabet="abcdefgh ", min_size=5))
def test_why_never_quotes_the_prompt(said: str) -> None:
    assert task_of({}, user(f"{said} python")).why == "Words of the last message speak of coding."


@pytest.mark.parametrize(
    ("said", "task"),
    [
        ("What is an API gateway?", "chat"),
        ("Why is the sky blue?", "chat"),
        ("Prove it, and explain why.", "reasoning"),
        ("How many eggs are in two dozen boxes?", "reasoning"),
        ("Think step by step.", "reasoning"),
        ("Refactor this: ```x = 1```", "coding"),
        ("Why does my Python loop not end? Explain.", "coding"),
        ("Answer in one word: is it hot?", "speed"),
        ("I need it asap!", "speed"),
        ([{"type": "text", "text": "Fix this bug"}, {"type": "image_url", "image_url": {}}], "coding"),
        ([{"type": "image_url", "image_url": {}}], "chat"),
        (None, "chat"),
    ],
)
def test_the_words_of_the_last_user_message_tell_the_task(said: Any, task: str) -> None:
    assert task_of({}, user(said)).name == task


def test_metadata_stands_before_words_and_unknown_values_are_passed_over() -> None:
    assert task_of({"task": "chat", "priority": "speed"}, user("python")).name == "chat"
    assert task_of({"priority": "speed"}, user("python")).name == "speed"
    assert task_of({"task": "gardening", "priority": "low"}, user("python")).name == "coding"


def test_only_the_two_ends_of_a_long_message_are_read() -> None:
    filler = "la " * PART
    assert task_of({}, user(f"Fix the bug. {filler}")).name == "coding"
    assert task_of({}, user(f"{filler} Fix the bug.")).name == "coding"
    assert task_of({}, user(f"{filler} Fix the bug. {filler}")) == PLAIN
    assert task_of({}, {"messages": [{"role": "assistant", "content": "python"}]}) == PLAIN
