"""A regression planted in a running mock: all of Relay in processes of its own, the watcher on Celery's beat."""

import json
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from routing.tests.own_stack import SETUP, OwnStack, own_stack

PLANT = "UPDATE public.routing_deployment SET options = %s::jsonb WHERE slug = 'candidate' RETURNING id"
EXPOSED = """
    SELECT count(*) FROM t_default.traces_trace, jsonb_array_elements(attempts_json) AS attempt
    WHERE attempt->>'deployment' = 'candidate' AND started_at >= to_timestamp(%s)
"""
HEALTHY = {"mean_ms": 20, "p95_ms": 40}
WITHIN_S = 60  # as promised; the load is light, so that a slow machine keeps it too
SETUP_CANDIDATE = f"""
from routing.models import Deployment
mock = Deployment.objects.get(slug="mock-fast")
Deployment.objects.create(slug="candidate", provider=mock.provider, model="new", options={HEALTHY!r}, capacity=64)
{SETUP.replace('{"mean_ms": 0}', repr(HEALTHY))}
"""


@pytest.fixture(scope="module")
def whole() -> Iterator[OwnStack]:
    with own_stack(setup=SETUP_CANDIDATE) as stack:
        stack.start_celery()
        yield stack


def _live(stack: OwnStack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.manage("canary", "status", "--json"))[0]
    return found


@pytest.mark.soak
@pytest.mark.parametrize(
    ("regression", "why"),
    [
        (HEALTHY | {"error_rate": 0.3}, "It fails more often than the base: "),
        (HEALTHY | {"mean_ms": 120, "p95_ms": 240}, "It is slower: "),
    ],
    ids=["errors", "latency"],
)
def test_a_planted_regression_is_taken_back_within_a_minute(
    whole: OwnStack, regression: dict[str, Any], why: str
) -> None:
    whole.query(PLANT, json.dumps(HEALTHY))
    given = ("--deployment", "candidate", "--stages", "25", "--window", "100000", "--sticky", "none")
    whole.manage("canary", "start", "mock", *given)
    numbers = count()
    for _ in range(300):
        assert whole.ask(whole.free, metadata={"number": str(next(numbers))}).status_code == 200
    assert _live(whole)["state"] == "running", "it is no worse yet"
    whole.query(PLANT, json.dumps(regression))
    planted, state = time.time(), "running"
    while state == "running" and time.time() - planted < WITHIN_S:
        assert whole.ask(whole.free, metadata={"number": str(next(numbers))}).status_code == 200
        state = whole.query("SELECT state FROM public.routing_canary ORDER BY id DESC LIMIT 1")[0][0]
    took_s = time.time() - planted
    told = _live(whole)
    [[exposed]] = whole.query(EXPOSED, planted)
    print(f"{why} taken back after {took_s:.1f} s and {exposed} exposed requests")
    assert state == "rolled_back" and told["transitions"][-1]["why"].startswith(why), told
