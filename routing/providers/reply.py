"""Answers of other APIs in OpenAI's words: whole, or as the chunks of a stream."""

import time
from collections.abc import Sequence
from typing import Any

import orjson

Json = dict[str, Any]


def usage(fresh: Any, written: Any, read: Any, out: Any) -> Json | None:
    """OpenAI counts all of the prompt; others count what came from or went to their prompt cache apart. None if the
    provider's numbers are none: Relay then counts itself."""
    counts = [fresh, written or 0, read or 0, out]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    tokens_in = sum(counts[:3])
    found: Json = {"prompt_tokens": tokens_in, "completion_tokens": out, "total_tokens": tokens_in + out}
    if read:
        found["prompt_tokens_details"] = {"cached_tokens": read}
    return found


def tool_call(call_id: str, name: str, arguments: Any) -> Json:
    text = orjson.dumps(arguments or {}).decode()
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


class Reply:
    """One answer that is being put into OpenAI's shape. Text, tool calls and reasoning come in any order."""

    def __init__(self, answer_id: str, model: str) -> None:
        self._common: Json = {"id": answer_id, "created": int(time.time()), "model": model}
        self._calls = 0
        self._open_call: bool = False  # whether the tool call that runs has no arguments yet

    def whole(
        self, texts: Sequence[str], reasoning: Sequence[str], calls: Sequence[Json], finish: str, used: Json | None
    ) -> Json:
        message: Json = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
        if reasoning:
            message["reasoning_content"] = "".join(reasoning)
        if calls:
            message["tool_calls"] = list(calls)
        choice = {"index": 0, "message": message, "finish_reason": finish}
        answer = {**self._common, "object": "chat.completion", "choices": [choice]}
        return answer if used is None else {**answer, "usage": used}

    def text(self, piece: str) -> Json:
        return self._chunk({"content": piece})

    def reasoning(self, piece: str) -> Json:
        return self._chunk({"reasoning_content": piece})

    def role(self) -> Json:
        return self._chunk({"role": "assistant", "content": ""})

    def call(self, call_id: str, name: str) -> Json:
        begun = {"id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        self._calls += 1
        self._open_call = True
        return self._chunk({"tool_calls": [{"index": self._calls - 1, **begun}]})

    def arguments(self, piece: str) -> Json:
        self._open_call = self._open_call and not piece
        return self._chunk({"tool_calls": [{"index": self._calls - 1, "function": {"arguments": piece}}]})

    def call_ended(self) -> list[Json]:
        """A tool without arguments is called with none by some; OpenAI's clients expect an empty object."""
        return [self.arguments("{}")] if self._open_call else []

    def end(self, finish: str, used: Json | None) -> list[Json]:
        last = self._chunk({}, finish)
        return [last] if used is None else [last, {**self._chunk({}), "choices": [], "usage": used}]

    def _chunk(self, delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**self._common, "object": "chat.completion.chunk", "choices": [choice]}
