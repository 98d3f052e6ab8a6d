"""Which traces are calls of a canary, and what they say of their side."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from routing.core.canary import Call

FAILED = frozenset(("failed", "fell_back"))  # nobody answered, or somebody else had to
ANSWERED = frozenset(("ok", *FAILED))


def call_in(record: Mapping[str, Any]) -> tuple[int, Call] | None:
    """The canary and its call, from a finished trace; None if it is none.

    Cached answers, requests that a quota or a full queue turned away and clients that left say nothing of either side.
    A request that a provider refused as wrong counts as failed: both sides get the same requests, so that a candidate
    which refuses more of them is worse. Where the candidate is a deployment, only what was sent to it counts for it.
    """
    trial = _within(record, "plan_json", "features", "trial")
    if not isinstance(trial, dict) or record.get("sample"):
        return None
    attempts = [one for one in record.get("attempts_json") or () if isinstance(one, dict)]
    tried, candidate = trial.get("deployment"), trial.get("candidate") is True
    if candidate and tried:
        attempts = [one for one in attempts if one.get("deployment") == tried]
    outcome, canary = record.get("outcome"), trial.get("canary")
    refused = outcome == "rejected"
    if not attempts or not isinstance(canary, int) or not (refused or outcome in ANSWERED):
        return None
    if refused or outcome in FAILED:
        return canary, Call(candidate, failed=True)
    amounts = {name: _number(record.get(column)) for name, column in COLUMNS.items()}
    return canary, Call(candidate, False, **amounts, trace=UUID(record["id"]) if _is_readable(record) else None)


COLUMNS = {"latency": "latency_ms", "ttft": "ttft_ms", "cost": "cost_microusd"}
JUDGE = "judge of canary "  # begins the name of a judge's API key: verdicts are not scored, which might never end


def _is_readable(record: Mapping[str, Any]) -> bool:
    """A chat whose words the tenant keeps."""
    asked, answered = record.get("request_json"), record.get("response_json")
    chat = record.get("endpoint") == "chat" and not str(record.get("api_key")).startswith(JUDGE)
    return chat and isinstance(asked, dict) and isinstance(answered, dict)


def _within(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
