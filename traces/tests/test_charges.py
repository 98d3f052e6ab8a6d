from typing import Any

import pytest

from tenants.core.limits import Counter, Limit
from traces.core.charges import charged

RECORD = {
    "tenant": "acme",
    "key_id": "k1",
    "started_at": 150.0,
    "charged_requests": 1,
    "charged_tokens": 30,
    "cost_microusd": 70,
    "attempts_json": [
        {"deployment": "a", "charged": {"requests": 1, "tokens": 10, "cost": 20, "neurons": 5}},
        {"deployment": "b", "outcome": "failed"},
        {"deployment": "b", "charged": {"requests": 1, "tokens": 8, "cost": 9, "neurons": 0}},
        {"deployment": "b", "charged": {"requests": 1, "tokens": 12, "cost": 41, "neurons": 0}},
    ],
}


def counter(metric: str, **whose: Any) -> Counter:
    return Counter(Limit("q1", metric, "minute", 1, **whose), "key", 100, 200)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (counter("requests", tenant="acme"), 1),
        (counter("tokens", tenant="acme", api_key="k1"), 30),
        (counter("cost", tenant="acme", api_key="k1"), 70),
        (counter("cost", tenant="acme", api_key="k2"), 0),
        (counter("cost", tenant="globex"), 0),
        (counter("neurons", deployment="a"), 5),
        (counter("requests", deployment="b"), 2),
        (counter("cost", deployment="b"), 50),
        (counter("cost", deployment="c"), 0),
    ],
)
def test_a_trace_charges_its_caller_and_its_deployments(found: Counter, expected: int) -> None:
    assert charged(RECORD, found) == expected


@pytest.mark.parametrize("change", [{"sample": True}, {"started_at": 99.9}, {"started_at": 200.0}, {"tenant": "x"}])
def test_a_sample_and_what_is_of_another_window_or_tenant_charge_nothing(change: dict[str, Any]) -> None:
    assert charged(RECORD | change, counter("requests", tenant="acme")) == 0


def test_a_record_that_says_nothing_charges_nothing() -> None:
    assert charged({"tenant": "acme", "started_at": 150.0}, counter("tokens", tenant="acme")) == 0
    assert charged({"tenant": "acme", "started_at": 150.0}, counter("tokens", deployment="a")) == 0
