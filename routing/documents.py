"""Policy documents as YAML text: reading with line numbers, writing, and a comparison in words."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from routing.core.policy import PolicyDocument, PolicyInvalid, Problem
from routing.core.policy_reading import parse

MAX_BYTES = 64 * 1024
NO_FIELD = re.compile(r"line ([0-9]+)")  # the path of a problem that no field has
MAX_DEPTH = 16  # a policy needs 5; PyYAML takes minutes for 20,000 open brackets


class _Unreadable(PolicyInvalid):
    """No document at all: there are no lines to name, except the one in the path."""


@dataclass(frozen=True, slots=True)
class LinedProblem:
    line: int | None  # 1-based
    path: str
    message: str


@lru_cache(maxsize=2048)
def saved_policy(text: str) -> PolicyDocument:
    """Of a version: it never changes, reading it takes 5 ms, and a change of any row makes a process load all again.
    What is only being typed is not remembered, or one editor could fill the memory."""
    return read_policy(text)


def read_policy(text: str) -> PolicyDocument:
    """Raises PolicyInvalid, also for text that is not YAML at all."""
    document = parse(_load(text))
    problems = [
        Problem(("rules", index, "when", "hours", "timezone"), f"no time zone is called {rule.when.hours.timezone!r}.")
        for index, rule in enumerate(document.rules)
        if rule.when.hours and not _known_zone(rule.when.hours.timezone)
    ]
    if problems:
        raise PolicyInvalid(problems)
    return document


def problems_of(text: str) -> list[LinedProblem]:
    """What the editor shows: every problem with the line it stands on."""
    try:
        read_policy(text)
    except PolicyInvalid as error:
        lines = {} if isinstance(error, _Unreadable) else dict(_lines(text))
        return [
            LinedProblem(_line(lines, problem.path), _dotted(problem.path), problem.message)
            for problem in error.problems
        ]
    return []


def changes_in_words(old: PolicyDocument, new: PolicyDocument) -> list[str]:
    """One sentence a changed field, named by its path."""
    before, after = dict(_flat(_plain(old))), dict(_flat(_plain(new)))
    words = []
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            words.append(f"{path} was removed (it was {before[path]}).")
        elif path not in before:
            words.append(f"{path} was added: {after[path]}.")
        elif before[path] != after[path]:
            words.append(f"{path}: {before[path]} → {after[path]}.")
    return words


def _plain(document: PolicyDocument) -> dict[str, Any]:
    data = asdict(document)
    del data["named"]
    data["rules"] = {rule["name"]: rule for rule in data["rules"]}
    data["order of rules"] = [rule.name for rule in document.rules]
    return data


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{path}.{name}" if path else str(name))
    elif value is not None:
        yield path, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _load(text: str) -> Any:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _Unreadable([Problem((), f"is over {MAX_BYTES // 1024} KiB.")])
    try:
        _check_shape(text)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _Unreadable([Problem((f"line {line}",), f"not valid YAML: {error.problem or error.context}.")]) from error
    except (yaml.YAMLError, ValueError, ArithmeticError) as error:
        raise _Unreadable([Problem((), "not valid YAML.")]) from error


def _check_shape(text: str) -> None:
    """Refuses, before anything is built, what a policy never needs and what takes PyYAML minutes or trips it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise _refused(event, "must not use YAML aliases (*name).")
        if getattr(event, "tag", None) is not None:
            raise _refused(event, "must not use YAML tags (!name).")
        if depth > MAX_DEPTH:
            raise _refused(event, f"is nested over {MAX_DEPTH} levels deep.")


def _refused(event: yaml.Event, message: str) -> _Unreadable:
    path = (f"line {event.start_mark.line + 1}",) if event.start_mark else ()
    return _Unreadable([Problem(path, message)])


def _known_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _lines(text: str) -> Iterator[tuple[tuple[str | int, ...], int]]:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is not None:
        yield from _node_lines(node, ())


def _node_lines(node: yaml.Node, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            for inner, line in _node_lines(value, (*path, key.value)):
                if inner != (*path, key.value):
                    yield inner, line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _node_lines(value, (*path, index))


def _line(lines: dict[tuple[str | int, ...], int], path: tuple[str | int, ...]) -> int | None:
    if len(path) == 1 and (said := NO_FIELD.fullmatch(str(path[0]))):
        return int(said[1])
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))
