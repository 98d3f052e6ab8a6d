"""The evidence of a canary as JSON and back, to be kept between two looks at it."""

from collections.abc import Mapping
from typing import Any

from routing.core.canary import QUANTILES, Evidence
from routing.core.exceeding import Exceeding
from routing.core.paired import NO_PAIRS, Paired
from routing.core.sequential import Contest


def to_json(evidence: Evidence) -> dict[str, Any]:
    return {
        "errors": list(evidence.errors),
        "errors_alone": list(evidence.errors_alone),
        "amounts": {name: [list(one) for one in tests] for name, tests in evidence.amounts.items()},
        "stage_calls": evidence.stage_calls,
        "stage_failed": evidence.stage_failed,
        "score": list(evidence.score),
        "stage_pairs": evidence.stage_pairs,
    }


def from_json(data: Mapping[str, Any]) -> Evidence:
    """A metric that the record does not know begins anew."""
    fresh = Evidence().amounts
    amounts = {name: tuple(_exceeding(one) for one in data["amounts"].get(name, ())) for name in QUANTILES}
    return Evidence(
        errors=_test(data["errors"]),
        errors_alone=_test(data["errors_alone"]),
        amounts={name: kept if len(kept) == len(fresh[name]) else fresh[name] for name, kept in amounts.items()},
        stage_calls=data["stage_calls"],
        stage_failed=data["stage_failed"],
        score=_paired(data["score"]) if "score" in data else NO_PAIRS,
        stage_pairs=data.get("stage_pairs", 0),
    )


def _test(stored: Any) -> Contest:
    fortunes = Contest._fields.index("fortunes")
    return Contest._make([*stored[:fortunes], tuple(stored[fortunes]), stored[-1]])


def _exceeding(stored: Any) -> Exceeding:
    level, next_level, warm, test = stored
    return Exceeding(level, next_level, warm, _test(test))


def _paired(stored: Any) -> Paired:
    base, candidate, gaps, log_e, peak = stored
    return Paired(base, candidate, tuple((gap, times) for gap, times in gaps), log_e, peak)
