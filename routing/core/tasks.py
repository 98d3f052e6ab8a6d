"""What kind of work a request is: as its metadata says, else guessed from the words of its last user message."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TASKS = ("chat", "reasoning", "coding", "speed")
PART = 200  # characters read from each end of a message: what is wanted stands at its start or its end
PUNCTUATION = {ord(mark): " " for mark in ".,:;!?()[]{}<>\"'/\\|=+*#\n\t\r-`“”‘’"}
CODING = (
    "python javascript typescript rust golang java kotlin sql html css bash regex code coding refactor debug bug"
    " compile compiler stacktrace traceback json yaml dockerfile unittest pytest async"
)
REASONING = (
    "prove proof theorem derive deduce solve calculate compute equation integral probability puzzle riddle logic"
    " reasoning reason analyse analyze evaluate compare plan strategy tradeoffs explain why"
)
SPEED = "quick quickly fast briefly asap urgent immediately"
WORDS = {
    "coding": frozenset(CODING.split()),
    "reasoning": frozenset(REASONING.split()),
    "speed": frozenset(SPEED.split()),
}
KEYWORDS: frozenset[str] = frozenset().union(*WORDS.values())
ENOUGH = {"coding": 1, "reasoning": 2, "speed": 1}  # different words; single words of reasoning are in any small talk
SAYINGS = {
    "coding": ("```", "def ", "stack trace", "unit test"),
    "reasoning": ("step by step", "how many", "chain of thought"),
    "speed": ("one word", "yes or no", "one sentence"),
}


@dataclass(frozen=True, slots=True)
class Task:
    """``why`` never quotes the prompt: people see it who may not read prompts."""

    name: str
    why: str


SPOKEN = {name: Task(name, f"Words of the last message speak of {name}.") for name in WORDS}
SAID = {name: Task(name, "The request's metadata says so.") for name in TASKS}
URGENT = Task("speed", "The request's metadata asks for speed.")
PLAIN = Task("chat", "Nothing in the request speaks of another task.")


def task_of(metadata: Mapping[str, str], body: Mapping[str, Any]) -> Task:
    """``{"task": one of TASKS}`` or ``{"priority": "speed"}`` decide; other values are taken for nothing said."""
    if metadata:
        if (said := SAID.get(metadata.get("task", ""))) is not None:
            return said
        if metadata.get("priority") == "speed":
            return URGENT
    return _spoken_of(_ends(body).lower())


def _spoken_of(text: str) -> Task:
    found = KEYWORDS.intersection(text.translate(PUNCTUATION).split())
    for name, sayings in SAYINGS.items():
        for saying in sayings:
            if saying in text:
                return SPOKEN[name]
        if found and len(found & WORDS[name]) >= ENOUGH[name]:
            return SPOKEN[name]
    return PLAIN


def _ends(body: Mapping[str, Any]) -> str:
    """The start and the end of the last user message, so that a long prompt costs no more than a short one."""
    for message in reversed(body.get("messages", ())):
        if message["role"] == "user":
            content = message.get("content")
            if isinstance(content, list):
                texts = [part["text"] for part in content if part["type"] == "text"]
                return " ".join(text[:PART] for text in (texts[0], texts[-1])) if texts else ""
            text = content or ""
            return text if len(text) <= 2 * PART else f"{text[:PART]} {text[-PART:]}"
    return ""
