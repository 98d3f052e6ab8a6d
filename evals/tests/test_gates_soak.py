"""The default gate beside real runs: the unchanged policy twenty times, a slower provider, answers that break off, and
a provider that is slower than it was during the baseline.

Candidates are asked together with a baseline of their own: on a machine with other work beside, one of twenty that were
compared with a single earlier baseline failed (bench/GATES.md)."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import eventually
from routing.tests.own_stack import OwnStack, own_stack

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1_500)]
# Latency varies by about 15 % between two calls of one prompt. Answers have 6 words.
USUAL = {"mean_ms": 150, "p95_ms": 189, "reply_tokens": 6, "seed": 5}
SLOWER = USUAL | {"mean_ms": 165, "p95_ms": 207.9}
BROKEN_OFF = USUAL | {"reply_tokens": 2}
BUCKETS = """\
buckets:
  short: {max_input_tokens: 50, max_output_tokens: 900}
  medium: {max_input_tokens: 200, max_output_tokens: 900}
"""
VERSIONS = (
    f"{BUCKETS}defaults: {{candidates: [usual]}}",
    f"{BUCKETS}defaults: {{candidates: [slower]}}",
    f"""{BUCKETS}defaults: {{candidates: [usual]}}
rules: [{{name: cheap, when: {{bucket: short}}, then: {{candidates: [broken-off]}}}}]""",
)
SETUP = f"""
from routing.models import Deployment, Policy, Route
from routing.services import import_policy, save_draft, save_route
from tenants.models import Tenant
from tenants.services import create_api_key
price = dict(price_in_microusd=150_000, price_out_microusd=600_000)
provider = Deployment.objects.get(slug="mock-fast").provider
options = {dict(zip(("usual", "slower", "broken-off"), (USUAL, SLOWER, BROKEN_OFF), strict=True))!r}
for slug, told in options.items():
    Deployment.objects.create(slug=slug, provider=provider, model=slug, options=told, capacity=64, **price)
versions = {VERSIONS!r}
import_policy(tenant=None, slug="gated", text=versions[0], activated=True)
policy = Policy.objects.get(slug="gated")
for base, text in enumerate(versions[1:], 1):
    save_draft(policy=policy, text=text, base=base)
candidates = [(Deployment.objects.get(slug=slug), None) for slug in options]
save_route(Route(name="gated", policy=policy), candidates=candidates)
key = create_api_key(tenant=Tenant.objects.get(slug="default"), name="unused")[1]
print(key, key)
"""
ASKED = ("--policy", "gated", "--route", "gated", "--dataset", "gsm8k-200", "--no-wait", "--json")
BOTH = ("--interleaved", "--concurrency", "8", "--scorers", "similarity:against=baseline", "--repetitions")
UNCHANGED, SLOW, WRONG = (("--version", str(number)) for number in (1, 2, 3))


@pytest.fixture(scope="module")
def own() -> Iterator[OwnStack]:
    with own_stack(setup=SETUP) as stack:
        stack.start_evals()
        yield stack


def done(own: OwnStack, command: str, *arguments: str, times: int = 1) -> list[int]:
    """The numbers of runs that a worker has carried to their end. One process makes all: its start costs most."""
    given = [command, *ASKED, *arguments]
    script = f"from django.core.management import call_command\nfor _ in range({times}): call_command(*{given!r})"
    told = own.manage("shell", "-v0", "-c", script)
    numbers = [json.loads(line)["run"] for line in told.splitlines() if line.startswith("{")]
    assert len(numbers) == times
    state = "SELECT count(*) FROM t_default.evals_run WHERE id = ANY(%s) AND state = 'done'"
    with psycopg.connect(own.database_url, autocommit=True) as database:  # one, since it is asked often
        eventually(lambda: database.execute(state, [numbers]).fetchone() == (times,), within_s=120 * times)
    return numbers


def verdicts(own: OwnStack, runs: Sequence[int], directory: Path) -> list[dict[str, Any]]:
    """What `eval_gate` writes for CI, one of each run."""
    script = f"""
from django.core.management import call_command
for run in {runs!r}:
    try:
        call_command("eval_gate", "--candidate", str(run), "--json", f"{directory}/{{run}}.json")
    except SystemExit:
        pass
"""
    own.manage("shell", "-v0", "-c", script)
    reports = [json.loads((directory / f"{run}.json").read_text()) for run in runs]
    for report in reports:
        told = ", ".join(
            f"{row['metric']} {row['change_text']} ({row['interval_text']})" for row in report["rules"][:4]
        )
        print(f"run {report['candidate']['run']}: {report['verdict']}: {told}")
    return reports


def rule_verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {row["metric"]: row["verdict"] for row in report["rules"]}


def test_twenty_runs_of_the_unchanged_policy_never_fail(own: OwnStack, tmp_path: Path) -> None:
    runs = done(own, "eval_candidate", *UNCHANGED, *BOTH, "2", times=20)
    found = Counter(report["verdict"] for report in verdicts(own, runs, tmp_path))
    print(f"the unchanged policy, 20 times: {dict(found)}")
    assert found.total() == 20 and not found["fail"]


def test_a_planted_latency_of_ten_percent_fails(own: OwnStack, tmp_path: Path) -> None:
    runs = done(own, "eval_candidate", *SLOW, *BOTH, "4", times=2)
    for report in verdicts(own, runs, tmp_path):
        assert report["verdict"] == "fail" and rule_verdicts(report)["p50_latency"] == "fail"


def test_a_planted_loss_of_quality_fails(own: OwnStack, tmp_path: Path) -> None:
    [report] = verdicts(own, done(own, "eval_candidate", *WRONG, *BOTH, "2"), tmp_path)
    assert report["verdict"] == "fail" and rule_verdicts(report)["score:similarity"] == "fail"


def test_only_a_baseline_of_its_own_tells_a_slower_policy_from_a_slower_provider(own: OwnStack, tmp_path: Path) -> None:
    before = ("--repetitions", "2", "--concurrency", "8")
    [baseline] = done(own, "eval_baseline", *before)
    own.query(
        "UPDATE public.routing_deployment SET options = options || %s::jsonb WHERE slug = 'usual' RETURNING id",
        json.dumps({"mean_ms": 195, "p95_ms": 246}),
    )
    late = done(own, "eval_candidate", *UNCHANGED, "--baseline", str(baseline), *before)
    together = done(own, "eval_candidate", *UNCHANGED, *BOTH, "2")
    afterwards, beside = verdicts(own, [*late, *together], tmp_path)
    assert afterwards["verdict"] == "fail" and beside["verdict"] != "fail"
