"""The policy document: what it may say, checked in full before it is used, as frozen values.

``parse`` takes plain data (from YAML or JSON) and either returns a ``PolicyDocument`` or raises ``PolicyInvalid``
with every problem found, each with its path. The field tables below are also the reference that the editor shows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Problem:
    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path)) or 'document'}: {self.message}"


class PolicyInvalid(Exception):
    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class BucketLimit:
    """A request belongs to the first bucket whose two limits it stays within; ``long`` takes the rest."""

    max_input_tokens: int
    max_output_tokens: int


@dataclass(frozen=True, slots=True)
class CacheRule:
    exact: bool = True
    semantic: bool = False
    threshold: float = 0.92
    ttl_s: int = 3600
    scope: str = "tenant"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a plan takes from a policy. A rule's ``then`` overrides the defaults field by field."""

    tier: str = "standard"
    lane: str = "short"
    decoding: str | None = None
    max_tokens: int = 512
    temperature: float | None = None
    cache: CacheRule = CacheRule()
    candidates: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes since midnight in ``timezone``; a start after the end runs over midnight."""

    start: int
    end: int
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class When:
    bucket: tuple[str, ...] | None = None
    model: tuple[str, ...] | None = None
    key: tuple[str, ...] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    hours: Hours | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    when: When
    then: Mapping[str, Any]  # checked fields of Settings; ``cache`` is a mapping of CacheRule fields


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    buckets: Mapping[str, BucketLimit]
    profiles: Mapping[str, Mapping[str, float]]
    defaults: Settings
    rules: tuple[Rule, ...]
    description: str = ""


class _Reader:
    """Collects problems instead of stopping at the first, so that an editor can show all of them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def bad(self, path: tuple[str | int, ...], message: str) -> None:
        self.problems.append(Problem(path, message))

    def mapping(self, value: Any, path: tuple[str | int, ...], known: tuple[str, ...] | None = None) -> dict[str, Any]:
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

    def integer(self, value: Any, path: tuple[str | int, ...], low: int, high: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.bad(path, f"must be a whole number from {low:,} to {high:,}, not {_shown(value)}.")
            return low
        return value

    def decimal(self, value: Any, path: tuple[str | int, ...], low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.bad(path, f"must be a number from {low:g} to {high:g}, not {_shown(value)}.")
            return low
        return float(value)

    def boolean(self, value: Any, path: tuple[str | int, ...]) -> bool:
        if not isinstance(value, bool):
            self.bad(path, f"must be true or false, not {_shown(value)}.")
        return value is True

    def choice(self, value: Any, path: tuple[str | int, ...], allowed: tuple[str, ...]) -> str:
        if value not in allowed:
            self.bad(path, f"must be one of {', '.join(allowed)}, not {_shown(value)}.")
            return allowed[0]
        return str(value)

    def word(self, value: Any, path: tuple[str | int, ...]) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > 200 or not _legible(value):
            self.bad(path, f"must be text of 1 to 200 legible characters, not {_shown(value)}.")
            return ""
        return value.strip()

    def words(self, value: Any, path: tuple[str | int, ...]) -> tuple[str, ...]:
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
    document = PolicyDocument(
        description=read.word(top["description"], ("description",)) if "description" in top else "",
        buckets=_buckets(read, top.get("buckets")),
        profiles=profiles,
        defaults=apply(Settings(), _settings(read, top.get("defaults"), ("defaults",), profiles)),
        rules=_rules(read, top.get("rules"), profiles),
    )
    if read.problems:
        raise PolicyInvalid(read.problems)
    return document


def apply(settings: Settings, then: Mapping[str, Any]) -> Settings:
    """``settings`` with the checked fields of ``then`` put over it; ``cache`` is merged field by field."""
    values = {item.name: getattr(settings, item.name) for item in fields(Settings)} | dict(then)
    if "cache" in then:
        cache = {item.name: getattr(settings.cache, item.name) for item in fields(CacheRule)}
        values["cache"] = CacheRule(**(cache | then["cache"]))
    return Settings(**values)


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


def _settings(read: _Reader, value: Any, path: tuple[str | int, ...], profiles: Mapping[str, Any]) -> dict[str, Any]:
    readers: dict[str, Callable[[Any, tuple[str | int, ...]], Any]] = {
        "tier": read.word,
        "lane": lambda item, at: read.choice(item, at, LANES),
        "decoding": lambda item, at: read.choice(item, at, tuple(profiles) or ("(no profile is defined)",)),
        "max_tokens": lambda item, at: read.integer(item, at, 1, MAX_TOKENS),
        "temperature": lambda item, at: read.decimal(item, at, 0.0, 2.0),
        "cache": lambda item, at: _cache(read, item, at),
        "candidates": read.words,
    }
    given = read.mapping(value, path, tuple(readers))
    return {name: readers[name](item, (*path, name)) for name, item in given.items()}


def _cache(read: _Reader, value: Any, path: tuple[str | int, ...]) -> dict[str, Any]:
    readers: dict[str, Callable[[Any, tuple[str | int, ...]], Any]] = {
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
        path: tuple[str | int, ...] = ("rules", index)
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


def _when(read: _Reader, value: Any, path: tuple[str | int, ...]) -> When:
    given = read.mapping(value, path, tuple(item.name for item in fields(When)))
    bucket = read.words(given["bucket"], (*path, "bucket")) if "bucket" in given else None
    for name in bucket or ():
        read.choice(name, (*path, "bucket"), BUCKETS)
    metadata = read.mapping(given.get("metadata"), (*path, "metadata"))
    return When(
        bucket=bucket,
        model=read.words(given["model"], (*path, "model")) if "model" in given else None,
        key=read.words(given["key"], (*path, "key")) if "key" in given else None,
        metadata={name: read.word(item, (*path, "metadata", name)) for name, item in metadata.items()},
        hours=_hours(read, given["hours"], (*path, "hours")) if "hours" in given else None,
    )


def _hours(read: _Reader, value: Any, path: tuple[str | int, ...]) -> Hours | None:
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
