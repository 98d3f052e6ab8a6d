"""A worker that is killed in the middle of a thousand prompts, by a signal that it cannot catch."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import eventually
from routing.tests.own_stack import OwnStack, own_stack

pytestmark = pytest.mark.soak
PROMPTS, REPETITIONS = 500, 2
SETUP = """
from routing.models import Deployment
from tenants.models import Tenant
from tenants.services import create_api_key
Deployment.objects.filter(slug="mock-fast").update(options={"mean_ms": 30})
key = create_api_key(tenant=Tenant.objects.get(slug="default"), name="free")[1]
print(key, key)
"""
# Of each trace of the run: how often a provider was called for it.
CALLS = "SELECT cache, jsonb_array_length(attempts_json) FROM t_default.traces_trace WHERE api_key = %s"


@pytest.fixture(scope="module")
def own() -> Iterator[OwnStack]:
    with own_stack(setup=SETUP) as stack:
        stack.start_celery()
        stack.start_evals()
        yield stack


def test_no_prompt_is_lost_or_paid_twice(own: OwnStack, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": f"Prompt {number}"}) for number in range(PROMPTS)))
    own.manage("eval_dataset", "import", str(file), "--name", "thousand")
    [(policy,)] = own.query(
        "SELECT slug FROM routing_policy WHERE id = (SELECT policy_id FROM routing_route WHERE name = 'mock' LIMIT 1)"
    )
    wanted = ["--policy", policy, "--dataset", "thousand", "--route", "mock", "--repetitions", str(REPETITIONS)]
    run = json.loads(own.manage("eval_baseline", *wanted, "--concurrency", "8", "--no-wait", "--json"))["run"]

    def kept() -> int:
        return int(own.query("SELECT count(*) FROM t_default.evals_result WHERE run_id = %s", run)[0][0])

    for share in (0.3, 0.6):
        eventually(lambda share=share: kept() > share * PROMPTS * REPETITIONS, within_s=120)  # type: ignore[misc]
        own.kill("evals")
        assert kept() < PROMPTS * REPETITIONS
        own.start_evals()
    state = "SELECT state FROM t_default.evals_run WHERE id = %s"
    eventually(lambda: own.query(state, run) == [("done",)], within_s=180)

    assert kept() == PROMPTS * REPETITIONS
    traces = own.query(CALLS, f"eval run {run}")
    assert sum(calls for _, calls in traces) == PROMPTS * REPETITIONS
    assert sum(cache != "replay" for cache, _ in traces) == PROMPTS * REPETITIONS
    replayed = len(traces) - PROMPTS * REPETITIONS
    print(f"{replayed} answers that a killed worker had not kept were given again")
    ids = own.query(
        "SELECT count(DISTINCT trace_id), bool_and(traced) FROM t_default.evals_result WHERE run_id = %s", run
    )
    assert ids == [(PROMPTS * REPETITIONS, True)]
