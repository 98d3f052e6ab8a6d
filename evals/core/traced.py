"""An answer that a trace holds, as scorers want it: there is no reference to hold it against, and the schema that it
must satisfy is the one that the client named."""

from collections.abc import Mapping
from typing import Any

from evals.core.case import Case


def case_of(asked: Any, answer: str, category: str = "") -> Case | None:
    """``asked``: the client's body; None if it is not kept, or holds no conversation."""
    messages = asked.get("messages") if isinstance(asked, Mapping) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(one, Mapping) for one in messages):
        return None
    return Case(messages, answer, answer_schema=schema_in(asked), category=category)


def schema_in(asked: Mapping[str, Any]) -> Any:
    """Of ``response_format``; any JSON satisfies {}. None: the client named none."""
    wanted = asked.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if not isinstance(wanted, Mapping) or kind not in ("json_schema", "json_object"):
        return None
    named = wanted.get("json_schema") if kind == "json_schema" else {}
    schema = named.get("schema", {}) if isinstance(named, Mapping) else None
    return schema if isinstance(schema, dict | bool) else None
