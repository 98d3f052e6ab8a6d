"""Plain data (from YAML or JSON) -> a checked ``PolicyDocument``, or every problem found, each with its path."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from routing.core.policy import (
    BucketLimit,
    Canary,
    Hours,
    PolicyDocument,
    PolicyInvalid,
    Problem,
    Rule,
    Settings,
    Weights,
    When,
    apply,
)
from routing.core.strategies import STRATEGIES
from routing.core.tasks import TASKS

BUCKETS = ("short", "medium", "long")
LANES = ("short", "long")
CACHE_SCOPES = ("tenant", "key")
SAMPLING = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
}
MAX_TOKENS = 1_000_000
MAX_TTL_S = 30 * 24 * 3600
MAX_WEIGHT = 100.0
SLO = (0.5, 0.9999)
DEPLOYMENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")

Path: TypeAlias = tuple[str | int, ...]


class _Reader:
    """Collects problems instead of stopping at the first, so that an editor can show all of them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def bad(self, path: Path, message: str) -> None:
        self.problems.append(Problem(path, message))

    def mapping(self, value: Any, path: Path, known: tuple[str, ...] | None = None) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.bad(path, f"must be a mapping, not {_kind(value)}.")
            return {}
        result = {}
        for key, item in value.items():
            if not isinstance(key, str):
                self.bad(path, f"the name {_shown(key)} must be text; quote it.")
            elif not _legible(key):
                self.bad(path, f"the name {_shown(key)} holds a character that cannot be shown.")
            elif known is not None and key not in known:
                self.bad((*path, key), f"unknown; allowed here: {', '.join(known)}.")
            else:
                result[key] = item
        return result

    def integer(self, value: Any, path: Path, low: int, high: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.bad(path, f"must be a whole number from {low:,} to {high:,}, not {_shown(value)}.")
            return low
        return value

    def decimal(self, value: Any, path: Path, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.bad(path, f"must be a number from {low:g} to {high:g}, not {_shown(value)}.")
            return low
        return float(value)

    def boolean(self, value: Any, path: Path) -> bool:
        if not isinstance(value, bool):
            self.bad(path, f"must be true or false, not {_shown(value)}.")
        return value is True

    def choice(self, value: Any, path: Path, allowed: tuple[str, ...]) -> str:
        if value not in allowed:
            self.bad(path, f"must be one of {', '.join(allowed)}, not {_shown(value)}.")
            return allowed[0]
        return str(value)

    def word(self, value: Any, path: Path) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > 200 or not _legible(value):
            self.bad(path, f"must be text of 1 to 200 legible characters, not {_shown(value)}.")
            return ""
        return value.strip()

    def words(self, value: Any, path: Path) -> tuple[str, ...]:
        """One name or a list of names."""
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or not value:
            self.bad(path, "must be a name or a list of names.")
            return ()
        return tuple(self.word(item, (*path, index)) for index, item in enumerate(value))


def _kind(value: Any) -> str:
    return {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}.get(
        type(value), "a number"
    )


def _shown(value: Any) -> str:
    if isinstance(value, int) and abs(value) > 10**50:
        return "a number that large"  # Python refuses to write out the largest ones
    return _kind(value) if isinstance(value, dict | list | None) else repr(value)[:60]


def _legible(text: str) -> bool:
    """No NUL, other control characters or lone surrogates: a plan must fit into JSON and into PostgreSQL."""
    return all(character.isprintable() or character.isspace() for character in text)


def parse(data: Any) -> PolicyDocument:
    """Check a whole document. Raises PolicyInvalid with all problems."""
    read = _Reader()
    top = read.mapping(data, (), ("description", "buckets", "profiles", "defaults", "rules"))
    if data is None or (isinstance(data, Mapping) and not data):
        read.bad((), "is empty; it needs at least buckets and defaults.")
    profiles = _profiles(read, top.get("profiles"))
    named = _settings(read, top.get("defaults"), ("defaults",), profiles)
    document = PolicyDocument(
        description=read.word(top["description"], ("description",)) if "description" in top else "",
        buckets=_buckets(read, top.get("buckets")),
        profiles=profiles,
        defaults=apply(Settings(), named),
        rules=_rules(read, top.get("rules"), profiles),
        named=frozenset(named),
    )
    if not read.problems:
        _check_together(read, document)
    if read.problems:
        raise PolicyInvalid(read.problems)
    return document


def _check_together(read: _Reader, document: PolicyDocument) -> None:
    """What only shows when a rule stands on the defaults."""
    _check_settings(read, document.defaults, ("defaults",))
    for index, rule in enumerate(document.rules):
        if rule.then.keys() & {"strategy", "canary", "weights"}:
            _check_settings(read, apply(document.defaults, rule.then), ("rules", index, "then"))


def _check_settings(read: _Reader, settings: Settings, path: Path) -> None:
    if settings.strategy == "canary" and settings.canary is None:
        read.bad((*path, "canary"), "is missing: the strategy canary needs {deployment: NAME, share: PERCENT}.")
    if not any(getattr(settings.weights, item.name) for item in fields(Weights)):
        read.bad((*path, "weights"), "are all 0, so nothing would decide; leave at least one above 0.")


def _buckets(read: _Reader, value: Any) -> dict[str, BucketLimit]:
    given = read.mapping(value, ("buckets",), BUCKETS[:-1])
    result = {}
    for name in BUCKETS[:-1]:
        path = ("buckets", name)
        limits = read.mapping(given.get(name), path, ("max_input_tokens", "max_output_tokens"))
        numbers = {}
        for limit in ("max_input_tokens", "max_output_tokens"):
            if limit not in limits:
                read.bad((*path, limit), "is missing.")
            numbers[limit] = read.integer(limits.get(limit, 1), (*path, limit), 1, MAX_TOKENS)
        result[name] = BucketLimit(**numbers)
    short, medium = result["short"], result["medium"]
    if medium.max_input_tokens < short.max_input_tokens or medium.max_output_tokens < short.max_output_tokens:
        read.bad(("buckets", "medium"), "must not be smaller than short.")
    return result


def _profiles(read: _Reader, value: Any) -> dict[str, dict[str, float]]:
    result = {}
    for name, params in read.mapping(value, ("profiles",)).items():
        path = ("profiles", name)
        result[name] = {
            param: read.decimal(number, (*path, param), *SAMPLING[param])
            for param, number in read.mapping(params, path, tuple(SAMPLING)).items()
        }
    return result


def _settings(read: _Reader, value: Any, path: Path, profiles: Mapping[str, Any]) -> dict[str, Any]:
    readers: dict[str, Callable[[Any, Path], Any]] = {
        "tier": read.word,
        "lane": lambda item, at: read.choice(item, at, LANES),
        "decoding": lambda item, at: read.choice(item, at, tuple(profiles) or ("(no profile is defined)",)),
        "max_tokens": lambda item, at: read.integer(item, at, 1, MAX_TOKENS),
        "temperature": lambda item, at: read.decimal(item, at, 0.0, 2.0),
        "cache": lambda item, at: _cache(read, item, at),
        "candidates": read.words,
        "strategy": lambda item, at: read.choice(item, at, tuple(STRATEGIES)),
        "weights": lambda item, at: _weights(read, item, at),
        "task": lambda item, at: read.choice(item, at, TASKS),
        "slo": lambda item, at: read.decimal(item, at, *SLO),
        "canary": lambda item, at: _canary(read, item, at),
    }
    given = read.mapping(value, path, tuple(readers))
    return {name: readers[name](item, (*path, name)) for name, item in given.items()}


def _weights(read: _Reader, value: Any, path: Path) -> dict[str, float]:
    given = read.mapping(value, path, tuple(item.name for item in fields(Weights)))
    return {name: read.decimal(item, (*path, name), 0.0, MAX_WEIGHT) for name, item in given.items()}


def _canary(read: _Reader, value: Any, path: Path) -> Canary:
    given = read.mapping(value, path, ("deployment", "share"))
    for name in ("deployment", "share"):
        if name not in given:
            read.bad((*path, name), "is missing.")
    deployment = read.word(given.get("deployment", "?"), (*path, "deployment"))
    if "deployment" in given and not DEPLOYMENT.fullmatch(deployment):
        read.bad((*path, "deployment"), "must be a deployment's name: small letters, digits, and - . _ between them.")
    return Canary(deployment, read.decimal(given.get("share", 0), (*path, "share"), 0.0, 100.0))


def _cache(read: _Reader, value: Any, path: Path) -> dict[str, Any]:
    readers: dict[str, Callable[[Any, Path], Any]] = {
        "exact": read.boolean,
        "semantic": read.boolean,
        "threshold": lambda item, at: read.decimal(item, at, 0.5, 1.0),
        "ttl_s": lambda item, at: read.integer(item, at, 1, MAX_TTL_S),
        "scope": lambda item, at: read.choice(item, at, CACHE_SCOPES),
    }
    given = read.mapping(value, path, tuple(readers))
    return {name: readers[name](item, (*path, name)) for name, item in given.items()}


def _rules(read: _Reader, value: Any, profiles: Mapping[str, Any]) -> tuple[Rule, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        read.bad(("rules",), "must be a list of rules, each with name, when and then.")
        return ()
    rules = []
    for index, item in enumerate(value):
        path: Path = ("rules", index)
        rule = read.mapping(item, path, ("name", "when", "then"))
        for needed in ("name", "then"):
            if needed not in rule:
                read.bad((*path, needed), "is missing.")
        rules.append(
            Rule(
                name=read.word(rule.get("name", "?"), (*path, "name")),
                when=_when(read, rule.get("when"), (*path, "when")),
                then=_settings(read, rule.get("then"), (*path, "then"), profiles),
            )
        )
    names = [rule.name for rule in rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        read.bad(("rules",), f"two rules are named {name!r}.")
    return tuple(rules)


def _when(read: _Reader, value: Any, path: Path) -> When:
    given = read.mapping(value, path, tuple(item.name for item in fields(When)))
    bucket = read.words(given["bucket"], (*path, "bucket")) if "bucket" in given else None
    for name in bucket or ():
        read.choice(name, (*path, "bucket"), BUCKETS)
    task = read.words(given["task"], (*path, "task")) if "task" in given else None
    for name in task or ():
        read.choice(name, (*path, "task"), TASKS)
    metadata = read.mapping(given.get("metadata"), (*path, "metadata"))
    return When(
        bucket=bucket,
        model=read.words(given["model"], (*path, "model")) if "model" in given else None,
        key=read.words(given["key"], (*path, "key")) if "key" in given else None,
        metadata={name: read.word(item, (*path, "metadata", name)) for name, item in metadata.items()},
        hours=_hours(read, given["hours"], (*path, "hours")) if "hours" in given else None,
        task=task,
    )


def _hours(read: _Reader, value: Any, path: Path) -> Hours | None:
    given = read.mapping(value, path, ("from", "to", "timezone"))
    clock = {}
    for name in ("from", "to"):
        parts = str(given.get(name, "")).split(":")
        if len(parts) != 2 or not all(part.isdecimal() and len(part) == 2 for part in parts):
            read.bad((*path, name), 'must be a time in quotes, like "22:00".')
            return None
        hour, minute = map(int, parts)
        if hour > 24 or minute > 59 or hour * 60 + minute > 1440:
            read.bad((*path, name), 'must lie between "00:00" and "24:00".')
        clock[name] = hour * 60 + minute
    zone = read.word(given.get("timezone", "UTC"), (*path, "timezone"))
    return Hours(clock["from"], clock["to"], zone)
